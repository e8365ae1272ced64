import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from app.domain.message import LinkButton, Message
from app.domain.send_outcome import (
    Down,
    NotEditable,
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
from app.telegram.client import TelegramClient
from app.telegram.sender import TelegramMessenger, TokenlessMessenger
from tests.bot_api import CUT, HANG, BotApi, bot_api, no, ok

pytestmark = pytest.mark.anyio

TOKEN = "4242:AAcanary-token_0123456789"
CHAT = 2**52 - 1
MESSAGE = Message(
    "<b>Лето &lt;1&gt;</b>", "Лето <1>", ((("Создать", "avatar_generate:a1"),), (("Все", "avatar_gallery"),))
)
MISPARSED = "400 Bad Request: can't parse entities"


@asynccontextmanager
async def messenger(url: str, patience: float = 10.0, connections: int = 64) -> AsyncIterator[TelegramMessenger]:
    async with TelegramClient(TOKEN, url, timeout=patience, connections=connections) as client:
        yield TelegramMessenger(client, 2 * patience)


async def outcome_of(*answers: tuple[int, bytes], patience: float = 10.0) -> tuple[SendOutcome, BotApi]:
    async with bot_api(*answers) as api, messenger(api.url, patience) as telegram:
        port: Messenger = telegram
        return await port.send(CHAT, MESSAGE), api


async def edited(*answers: tuple[int, bytes]) -> tuple[SendOutcome, BotApi]:
    async with bot_api(*answers) as api, messenger(api.url) as telegram:
        port: Messenger = telegram
        return await port.edit(CHAT, 5, MESSAGE), api


async def test_a_message_is_sent_as_html_with_its_buttons() -> None:
    """One sendMessage with a 52-bit chat id, escaped HTML, both buttons and no link preview, and nothing else."""
    outcome, api = await outcome_of(ok(99))
    assert outcome == Sent(99, CHAT)
    assert api.asked == [
        (
            f"POST /bot{TOKEN}/sendMessage HTTP/1.1",
            {
                "chat_id": CHAT,
                "text": MESSAGE.html,
                "parse_mode": "HTML",
                "link_preview_options": {"is_disabled": True},
                "reply_markup": {
                    "inline_keyboard": [
                        [{"text": "Создать", "callback_data": "avatar_generate:a1"}],
                        [{"text": "Все", "callback_data": "avatar_gallery"}],
                    ]
                },
            },
        )
    ]


async def test_a_silent_message_with_a_link() -> None:
    """What must not wake anybody says so, and a button with an address opens it instead of calling the bot back."""
    silent = replace(MESSAGE, keyboard=((LinkButton("Помощь", "https://t.me/help"),),), is_silent=True)
    async with bot_api(ok(99)) as api, messenger(api.url) as telegram:
        assert await telegram.send(CHAT, silent) == Sent(99, CHAT)
    [(_, form)] = api.asked
    assert form["disable_notification"] is True
    assert form["reply_markup"] == {"inline_keyboard": [[{"text": "Помощь", "url": "https://t.me/help"}]]}


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
    """Fault 42: a refusal is told as it was meant and is never repeated here (all shapes: test_answers)."""
    outcome, api = await outcome_of(answer)
    assert outcome == expected
    assert len(api.asked) == 1


async def test_html_that_telegram_cannot_read_goes_out_as_plain_text() -> None:
    """Fault 42: a parse error is our bug: the outcome says so, and the owner reads the plain words all the same."""
    outcome, api = await outcome_of(no(400, "Bad Request: can't parse entities"), ok(8))
    assert outcome == Sent(8, CHAT, misparsed=MISPARSED)
    html, plain = (form for _, form in api.asked)
    assert html["parse_mode"] == "HTML"
    assert "parse_mode" not in plain
    assert plain["text"] == MESSAGE.plain
    assert plain["reply_markup"] == html["reply_markup"]


async def test_plain_text_that_is_refused_too_is_rejected() -> None:
    """Fault 42: two parse errors end the matter: no third request."""
    refusal = no(400, "Bad Request: can't parse entities")
    outcome, api = await outcome_of(refusal, refusal)
    assert outcome == Rejected(MISPARSED, misparsed=MISPARSED)
    assert len(api.asked) == 2


async def test_a_parse_error_is_not_forgotten_over_what_follows() -> None:
    """Fault 42: whatever becomes of the plain text, the outcome still says that our HTML was not read."""
    outcome, _ = await outcome_of(no(400, "Bad Request: can't parse entities"), CUT)
    assert isinstance(outcome, Uncertain)
    assert outcome.misparsed == MISPARSED


async def test_a_migrated_group_gets_the_message_under_its_new_id() -> None:
    """A supergroup's new id is used at once and reported."""
    outcome, api = await outcome_of(no(400, "group upgraded", migrate_to_chat_id=-100123456789), ok(9))
    assert outcome == Sent(9, -100123456789)
    assert [form["chat_id"] for _, form in api.asked] == [CHAT, -100123456789]


async def test_a_group_that_migrates_again_is_given_up() -> None:
    """Two migrations in a row end the matter: no third request."""
    outcome, api = await outcome_of(*[no(400, "upgraded", migrate_to_chat_id=-1)] * 2)
    assert outcome == Rejected("the chat migrates again and again")
    assert len(api.asked) == 2


async def test_a_migrated_group_may_still_need_plain_text() -> None:
    """Both mendings of one send add up to three requests at most."""
    migrated, misparsed = no(400, "up", migrate_to_chat_id=-5), no(400, "Bad Request: can't parse entities")
    outcome, api = await outcome_of(migrated, misparsed, ok(10))
    assert outcome == Sent(10, -5, misparsed=MISPARSED)
    assert len(api.asked) == 3


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
    """A second request that hangs cannot stretch a send beyond its deadline."""
    migrated = no(400, "up", migrate_to_chat_id=-5)
    async with bot_api(migrated, HANG) as api, TelegramClient(TOKEN, api.url) as client:
        assert await TelegramMessenger(client, 0.5).send(CHAT, MESSAGE) == Uncertain("no whole answer in time")


async def test_nobody_listening_is_down() -> None:
    """Fault 42: where no connection came about, nothing was delivered."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        async with messenger(f"http://127.0.0.1:{reserved.getsockname()[1]}") as telegram:
            assert await telegram.send(CHAT, MESSAGE) == Down("Telegram was not reached: ConnectError")


async def test_no_free_connection_is_down() -> None:
    """A send that never got a connection was not delivered, although its error is a timeout too."""
    async with bot_api(HANG) as api, messenger(api.url, patience=1.0, connections=1) as telegram:
        first = asyncio.create_task(telegram.send(CHAT, MESSAGE))
        await api.heard.wait()
        assert await telegram.send(CHAT, MESSAGE) == Down("Telegram was not reached: PoolTimeout")
        await first
        assert len(api.asked) == 1


@pytest.mark.parametrize("url", ["api.telegram.org", "ftp://127.0.0.1", "http://127.0.0.1:nope", "http://\x00"])
async def test_an_address_that_is_none_stops_the_sender(url: str) -> None:
    """A wrong TELEGRAM_API_URL is the operator's to mend: no message is given up for it."""
    async with messenger(url) as telegram:
        assert isinstance(await telegram.send(CHAT, MESSAGE), TokenRefused)


async def test_sixty_four_connections_and_not_one_more() -> None:
    """100 waiting sends all arrive over at most 64 connections, which open as they are needed."""
    async with bot_api() as api, messenger(api.url, patience=60.0) as telegram:
        assert await telegram.send(CHAT, MESSAGE) == Sent(7, CHAT)
        assert api.most_open == 1
        outcomes = await asyncio.gather(*(telegram.send(chat_id, MESSAGE) for chat_id in range(1, 101)))
        assert outcomes == [Sent(7, chat_id) for chat_id in range(1, 101)]
        assert 8 < api.most_open <= 64


async def test_a_message_is_edited_in_its_place() -> None:
    """One editMessageText with text, markup and buttons, and the same id comes back."""
    outcome, api = await edited(ok(5))
    assert outcome == Sent(5, CHAT)
    [(line, form)] = api.asked
    assert line == f"POST /bot{TOKEN}/editMessageText HTTP/1.1"
    assert (form["chat_id"], form["message_id"], form["text"]) == (CHAT, 5, MESSAGE.html)
    assert form["parse_mode"] == "HTML"
    assert len(form["reply_markup"]["inline_keyboard"]) == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (no(400, "Bad Request: message is not modified: same"), Sent(5, CHAT)),
        (
            no(400, "Bad Request: message to edit not found"),
            NotEditable("400 Bad Request: message to edit not found"),
        ),
        (
            no(400, "Bad Request: message can't be edited"),
            NotEditable("400 Bad Request: message can't be edited"),
        ),
        (no(400, "Bad Request: MESSAGE_ID_INVALID"), NotEditable("400 Bad Request: MESSAGE_ID_INVALID")),
        (
            no(400, "upgraded", migrate_to_chat_id=-5),
            NotEditable("the chat migrated, and its messages got other ids"),
        ),
        (no(429, "Too Many Requests", retry_after=126), SlowDown(126.0)),
        (no(400, "Bad Request: chat not found"), Unreachable("400 Bad Request: chat not found", blocked=False)),
    ],
)
async def test_what_an_edit_is_refused_for(answer: tuple[int, bytes], expected: SendOutcome) -> None:
    """What reads so already was edited; what is gone or too old is no edit's to mend; each costs one request."""
    outcome, api = await edited(answer)
    assert outcome == expected
    assert len(api.asked) == 1


async def test_an_edit_that_is_misparsed_is_made_in_plain_text() -> None:
    """The plain words stand in the message's place, and the outcome says why."""
    outcome, api = await edited(no(400, "Bad Request: can't parse entities"), ok(5))
    assert outcome == Sent(5, CHAT, misparsed=MISPARSED)
    assert [form["text"] for _, form in api.asked] == [MESSAGE.html, MESSAGE.plain]


async def test_without_a_token_nothing_is_sent() -> None:
    """The outcome holds the words that would have been shown."""
    port: Messenger = TokenlessMessenger()
    assert await port.send(CHAT, MESSAGE) == NoToken(MESSAGE.plain)
    assert await port.edit(CHAT, 5, MESSAGE) == NoToken(MESSAGE.plain)
