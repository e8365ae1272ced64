import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from structlog.testing import capture_logs
from telegram.error import NetworkError, TimedOut

from app.domain.errors import SettingsInvalid
from app.domain.notification import Cause, Notification, Owner, OwnerMessage, Topic
from app.domain.send_outcome import (
    Down,
    NoToken,
    Rejected,
    SendOutcome,
    Sent,
    SlowDown,
    TokenRefused,
    Uncertain,
    Unreachable,
)
from app.flows.ports import Messenger
from app.telegram.messenger import LogMessenger, TelegramMessenger
from app.telegram.wire import read_breakdown
from tests.bot_api import CUT, HANG, BotApi, bot_api, no, ok

pytestmark = pytest.mark.anyio

TOKEN = "4242:AAcanary-token_0123456789"
CHAT = 2**52 - 1
AVATAR = "0b5e3b9c-1c1f-4d9c-9d2b-6f0e2b0f6d11"


def note(chat_id: int | None = CHAT, name: str = "Лето <1>") -> Notification:
    return OwnerMessage(AVATAR, name, "request-1", Topic.READY, Owner("owner-1", chat_id, "ru"))


@asynccontextmanager
async def messenger(url: str, patience: float = 10.0, connections: int = 64) -> AsyncIterator[TelegramMessenger]:
    it = TelegramMessenger(TOKEN, url, "ru", timeout=patience, connections=connections)
    await it.start()
    try:
        yield it
    finally:
        await it.close()


async def outcome_of(*answers: tuple[int, bytes], patience: float = 10.0) -> tuple[SendOutcome, BotApi]:
    async with bot_api(*answers) as api, messenger(api.url, patience) as telegram:
        port: Messenger = telegram
        return await port.send(note()), api


async def test_a_message_is_sent_as_html_with_its_buttons() -> None:
    """One sendMessage with a 52-bit chat id, escaped HTML, both buttons and no link preview, and nothing else."""
    outcome, api = await outcome_of(ok(99))
    assert outcome == Sent(99, CHAT)
    [(line, form)] = api.asked
    assert line == f"POST /bot{TOKEN}/sendMessage HTTP/1.1"
    assert form["chat_id"] == str(CHAT)
    assert form["parse_mode"] == "HTML"
    assert form["text"].startswith("<b>✨ Ваш аватар «Лето &lt;1&gt;» готов!</b>\n\n")
    assert json.loads(form["link_preview_options"]) == {"is_disabled": True}
    rows = json.loads(form["reply_markup"])["inline_keyboard"]
    assert [[button["callback_data"] for button in row] for row in rows] == [
        [f"avatar_generate:{AVATAR}"],
        ["avatar_gallery"],
    ]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (no(429, "Too Many Requests: retry after 3600", retry_after=3600), SlowDown(3600.0)),
        (no(403, "Forbidden: user is deactivated"), Unreachable("403 Forbidden: user is deactivated", blocked=True)),
        (no(400, "Bad Request: chat not found"), Unreachable("400 Bad Request: chat not found", blocked=False)),
        (no(400, "Bad Request: message is too long"), Rejected("400 Bad Request: message is too long")),
        (no(401, "Unauthorized"), TokenRefused("401 Unauthorized")),
        (no(409, "Conflict"), Down("409 Conflict")),
        ((413, b"<html>413</html>"), Rejected("413 request too large")),
        (no(500, "Internal Server Error"), Down("500 Internal Server Error")),
        ((502, b"<html><title>502 Bad Gateway</title></html>"), Down("502 not from Telegram itself")),
        ((302, b""), Down("302 not from Telegram itself")),
        ((200, b'{"ok":true,"resu'), Uncertain("an answer that cannot be read")),
    ],
)
async def test_a_refusal_costs_one_request(answer: tuple[int, bytes], expected: SendOutcome) -> None:
    """Fault 42: a refusal passes python-telegram-bot unharmed and is never repeated here (all shapes: test_answers)."""
    outcome, api = await outcome_of(answer)
    assert outcome == expected
    assert len(api.asked) == 1


async def test_html_that_telegram_cannot_read_goes_out_as_plain_text() -> None:
    """Fault 42: a parse error is our bug: logged without the text, and the owner reads the plain words all the same."""
    with capture_logs() as logs:
        outcome, api = await outcome_of(no(400, "Bad Request: can't parse entities: byte offset 3"), ok(8))
    assert outcome == Sent(8, CHAT)
    html, plain = (form for _, form in api.asked)
    assert html["parse_mode"] == "HTML"
    assert "parse_mode" not in plain
    assert plain["text"].startswith("✨ Ваш аватар «Лето <1>» готов!\n\n")
    assert plain["reply_markup"] == html["reply_markup"]
    assert logs == [
        {
            "event": "notification.misparsed",
            "log_level": "error",
            "avatar_id": AVATAR,
            "request_id": "request-1",
            "kind": "ready",
            "why": "400 Bad Request: can't parse entities: byte offset 3",
        }
    ]


async def test_plain_text_that_is_refused_too_is_rejected() -> None:
    """Fault 42: two parse errors end the matter: no third request."""
    refusal = no(400, "Bad Request: can't parse entities")
    outcome, api = await outcome_of(refusal, refusal)
    assert outcome == Rejected("400 Bad Request: can't parse entities")
    assert len(api.asked) == 2


async def test_a_migrated_group_gets_the_message_under_its_new_id() -> None:
    """A supergroup's new id is used at once and reported."""
    outcome, api = await outcome_of(no(400, "group upgraded", migrate_to_chat_id=-100123456789), ok(9))
    assert outcome == Sent(9, -100123456789)
    assert [form["chat_id"] for _, form in api.asked] == [str(CHAT), "-100123456789"]


async def test_a_group_that_migrates_again_is_given_up() -> None:
    """Two migrations in a row end the matter: no third request."""
    outcome, api = await outcome_of(*[no(400, "upgraded", migrate_to_chat_id=-1)] * 2)
    assert outcome == Rejected("the chat migrates again and again")
    assert len(api.asked) == 2


async def test_a_migrated_group_may_still_need_plain_text() -> None:
    """Both mendings of one send add up to three requests at most."""
    migrated, misparsed = no(400, "up", migrate_to_chat_id=-5), no(400, "Bad Request: can't parse entities")
    with capture_logs():
        outcome, api = await outcome_of(migrated, misparsed, ok(10))
    assert outcome == Sent(10, -5)
    assert len(api.asked) == 3


async def test_an_owner_without_a_chat_id_is_not_asked_for() -> None:
    """An id that is no chat id costs no request and blames nobody."""
    async with bot_api() as api, messenger(api.url) as telegram:
        outcome = await telegram.send(note(chat_id=None))
    assert outcome == Unreachable("the owner's stored id is not a chat id", blocked=False)
    assert api.asked == []


async def test_silence_after_the_request_is_uncertain() -> None:
    """Fault 42: a server that takes the message and hangs may have delivered it."""
    outcome, api = await outcome_of(HANG, patience=1.0)
    assert outcome == Uncertain("the connection broke before the answer: ReadTimeout")
    assert len(api.asked) == 1


async def test_a_connection_cut_after_the_request_is_uncertain() -> None:
    """Fault 42: a server that takes the message and hangs up may have delivered it."""
    outcome, api = await outcome_of(CUT)
    assert outcome == Uncertain("the connection broke before the answer: RemoteProtocolError")
    assert len(api.asked) == 1


async def test_a_send_has_a_deadline_over_all_its_requests() -> None:
    """A second request that hangs cannot stretch a send beyond twice the timeout."""
    migrated = no(400, "up", migrate_to_chat_id=-5)
    async with bot_api(migrated, HANG) as api, messenger(api.url) as telegram:
        assert telegram._deadline == 2 * telegram._wire.read_timeout
        telegram._deadline = 0.5
        assert await telegram.send(note()) == Uncertain("no whole answer in time")


async def test_nobody_listening_is_down() -> None:
    """Fault 42: where no connection came about, nothing was delivered."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        async with messenger(f"http://127.0.0.1:{reserved.getsockname()[1]}") as telegram:
            assert await telegram.send(note()) == Down("Telegram was not reached: ConnectError")


async def test_no_free_connection_is_down() -> None:
    """A send that never got a connection was not delivered, although its error is a timeout too."""
    async with bot_api(HANG) as api, messenger(api.url, patience=1.0, connections=1) as telegram:
        first = asyncio.create_task(telegram.send(note()))
        await api.heard.wait()
        assert await telegram.send(note()) == Down("Telegram was not reached: PoolTimeout")
        await first
        assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (httpx.ConnectError("x"), Down),
        (httpx.ConnectTimeout("x"), Down),
        (httpx.PoolTimeout("x"), Down),
        (httpx.ProxyError("x"), Down),
        (httpx.ReadTimeout("x"), Uncertain),
        (httpx.WriteTimeout("x"), Uncertain),
        (httpx.ReadError("x"), Uncertain),
        (httpx.WriteError("x"), Uncertain),
        (httpx.RemoteProtocolError("x"), Uncertain),
        (httpx.DecodingError("x"), Uncertain),
        (httpx.UnsupportedProtocol("x"), TokenRefused),
        (httpx.InvalidURL("x"), TokenRefused),
        (None, Uncertain),
    ],
)
def test_only_what_surely_never_left_is_down(cause: Exception | None, expected: type) -> None:
    """Fault 42: whoever doubts whether the request left is uncertain, so that a repeat is a decision."""
    for error in (NetworkError("x"), TimedOut("x")):
        error.__cause__ = cause
        assert isinstance(read_breakdown(error), expected)


@pytest.mark.parametrize("url", ["api.telegram.org", "ftp://127.0.0.1", "http://127.0.0.1:nope", "http://\x00"])
async def test_an_address_that_is_none_stops_the_sender(url: str) -> None:
    """A wrong TELEGRAM_API_URL is the operator's to mend: no message is given up for it."""
    async with messenger(url) as telegram:
        assert isinstance(await telegram.send(note()), TokenRefused)


async def test_sixty_four_connections_and_not_one_more() -> None:
    """100 waiting sends all arrive over at most 64 connections, in lanes that grow only as they fill."""
    async with bot_api() as api, messenger(api.url, patience=60.0) as telegram:
        assert await telegram.send(note()) == Sent(7, CHAT)
        assert len(telegram._wire._lanes) == 1
        outcomes = await asyncio.gather(*(telegram.send(note(chat_id)) for chat_id in range(1, 101)))
        assert outcomes == [Sent(7, chat_id) for chat_id in range(1, 101)]
        assert 8 < api.most_open <= 64
        assert len(telegram._wire._lanes) == 64


async def test_a_closed_messenger_opens_again() -> None:
    """start after close sends as before."""
    async with bot_api() as api, messenger(api.url + "/") as telegram:
        assert await telegram.send(note()) == Sent(7, CHAT)
        await telegram.close()
        await telegram.start()
        assert await telegram.send(note()) == Sent(7, CHAT)


async def test_the_token_is_never_said(caplog: pytest.LogCaptureFixture) -> None:
    """No log line at DEBUG, no outcome and no repr holds the token, even when an answer repeats it."""
    echo = f"https://api.telegram.org/bot{TOKEN}/sendMessage"
    answers = [ok(), no(400, echo), (502, echo.encode()), (200, echo.encode()), no(401, echo), CUT]
    caplog.set_level(logging.DEBUG)
    said = []
    with capture_logs() as logs:
        async with bot_api(*answers) as api, messenger(api.url) as telegram:
            said = [repr(await telegram.send(note())) for _ in answers]
            said.append(repr(telegram))
            for name in ("httpx", "httpcore", "telegram"):
                caplog.set_level(logging.DEBUG, name)
            said.append(repr(await telegram.send(note())))
            said.append(repr(await TelegramMessenger(TOKEN, "nowhere", "ru").send(note())))
    lines = [record.getMessage() for record in caplog.records]
    assert any("<token>" in line for line in lines), "httpx was turned up and scrubbed"
    assert any("<token>" in line for line in said), "an echo was scrubbed"
    assert TOKEN not in "\n".join([*lines, caplog.text, *said, repr(logs)])


async def test_libraries_are_silent_below_warning(caplog: pytest.LogCaptureFixture) -> None:
    """With the root logger at DEBUG neither httpx nor python-telegram-bot writes a line per send."""
    caplog.set_level(logging.DEBUG)
    await outcome_of(ok())
    assert [record.name for record in caplog.records if record.name.startswith(("http", "telegram"))] == []


async def test_without_a_token_the_message_is_logged() -> None:
    """The log messenger words the message, logs it once with its ids, and says that it was not sent."""
    failed = OwnerMessage(AVATAR, "Лето", "request-1", Topic.FAILED, Owner("owner-1", None, "en"), Cause.TIMEOUT)
    text = "Your avatar “Лето” did not work out\n\nThe training took too long and was stopped. Please start it again."
    telegram = LogMessenger("ru")
    port: Messenger = telegram
    await telegram.start()
    with capture_logs() as logs:
        assert await port.send(failed) == NoToken(text)
    await telegram.close()
    assert logs == [
        {
            "event": "notification.unsent",
            "log_level": "info",
            "avatar_id": AVATAR,
            "request_id": "request-1",
            "kind": "failed",
            "text": text,
        }
    ]


def test_a_default_language_without_words_refuses_the_start() -> None:
    """Both messengers refuse a DEFAULT_LANGUAGE nobody wrote words for, before anything is opened."""
    for build in (lambda: TelegramMessenger(TOKEN, "http://127.0.0.1:1", "de"), lambda: LogMessenger("de")):
        with pytest.raises(SettingsInvalid, match="DEFAULT_LANGUAGE"):
            build()
