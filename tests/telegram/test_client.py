import gzip
import json
import logging
import zlib
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from app.domain.send_outcome import Down, Uncertain
from app.http_client.client import HttpClient
from app.http_client.failures import HttpFailed
from app.telegram import client as client_module
from app.telegram.answers import Album, Answer, Delivered, Facts, NoAddress, Unreadable
from app.telegram.client import ANSWER_LIMIT, TelegramClient
from tests.bot_api import CUT, bot_api, no, ok
from tests.ports import free_port

pytestmark = pytest.mark.anyio

TOKEN = "4242:AAcanary-token_0123456789"
PNG = b"\x89PNG\r\n\x1a\n"
URL = "https://v3.fal.media/files/a.png"


async def test_a_photo_goes_by_its_url() -> None:
    """Telegram fetches it: one JSON request with caption and buttons."""
    async with bot_api(ok(3)) as api, TelegramClient(TOKEN, api.url) as client:
        assert await client.send_photo(42, URL, caption="<b>a</b>", html=True, keyboard=((("x", "y"),),)) == Delivered(
            3
        )
    assert api.asked == [
        (
            f"POST /bot{TOKEN}/sendPhoto HTTP/1.1",
            {
                "chat_id": 42,
                "photo": URL,
                "caption": "<b>a</b>",
                "parse_mode": "HTML",
                "reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": "y"}]]},
            },
        )
    ]


async def test_a_photo_goes_as_bytes() -> None:
    """One multipart request; what is no text in it is JSON."""
    async with bot_api(ok(3)) as api, TelegramClient(TOKEN, api.url) as client:
        assert await client.send_photo(42, PNG, keyboard=((("x", "y"),),)) == Delivered(3)
    [(_, form)] = api.asked
    assert form.pop("photo") == b"attach://upload0"
    assert form.pop("upload0") == PNG
    assert json.loads(form.pop("reply_markup")) == {"inline_keyboard": [[{"text": "x", "callback_data": "y"}]]}
    assert form == {"chat_id": b"42"}


async def test_an_album_is_one_request() -> None:
    """URLs and bytes side by side, the caption at the first, and the ids of all messages come back."""
    answer = json.dumps({"ok": True, "result": [{"message_id": 3}, {"message_id": 4}]}).encode()
    async with bot_api((200, answer)) as api, TelegramClient(TOKEN, api.url) as client:
        assert await client.send_media_group(42, [URL, PNG], caption="a") == Album((3, 4))
    [(line, form)] = api.asked
    assert line == f"POST /bot{TOKEN}/sendMediaGroup HTTP/1.1"
    assert json.loads(form["media"]) == [
        {"type": "photo", "media": URL, "caption": "a"},
        {"type": "photo", "media": "attach://upload0"},
    ]
    assert form["upload0"] == PNG


@pytest.mark.parametrize("result", [True, {"message_id": 3}, [], [{"message_id": 3}, {}]])
async def test_an_album_that_cannot_be_read_is_no_success(result: object) -> None:
    """Some of its messages may stand there, so nobody may take it for sent."""
    answer = json.dumps({"ok": True, "result": result}).encode()
    async with bot_api((200, answer)) as api, TelegramClient(TOKEN, api.url) as client:
        assert await client.send_media_group(42, [URL, URL]) == Unreadable()


async def test_the_bot_is_asked_about() -> None:
    """What Telegram says comes back as it is."""
    bot = {"id": 1, "username": "aisha_bot"}
    answer = (200, json.dumps({"ok": True, "result": bot}).encode())
    async with bot_api(answer) as api, TelegramClient(TOKEN, api.url) as client:
        assert await client.get_me() == Facts(bot)
    assert [form for _, form in api.asked] == [{}]


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (HttpFailed("ConnectError"), Down),
        (HttpFailed("PoolTimeout"), Down),
        (HttpFailed("ReadError", has_left=True), Uncertain),
        (HttpFailed("InvalidURL"), NoAddress),
        (HttpFailed("UnsupportedProtocol"), NoAddress),
        (zlib.error("z"), Uncertain),
        (TimeoutError("x"), Uncertain),
    ],
    ids=str,
)
async def test_only_what_surely_never_left_is_down(
    cause: Exception, expected: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 42: whoever doubts whether the request left is uncertain, so that a repeat is a decision."""

    async def ask(*_: object, **__: object) -> None:
        raise cause

    monkeypatch.setattr(HttpClient, "ask", ask)
    async with TelegramClient(TOKEN, "http://127.0.0.1:1") as client:
        assert isinstance(await client.send_message(42, "a"), expected)


async def test_who_is_hung_up_on_does_not_try_again() -> None:
    """The request may have been taken, on a kept connection as on a new one: a repeat is the caller's (fault 42)."""
    async with bot_api(CUT, ok(), CUT) as api, TelegramClient(TOKEN, api.url) as client:
        answers = [await client.send_message(42, "a") for _ in range(3)]
        assert [type(each) for each in answers] == [Uncertain, Delivered, Uncertain]
        assert len(api.asked) == 3


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
async def test_what_was_packed_unasked_is_unpacked(pack: Callable[[bytes], bytes]) -> None:
    """Some proxies pack whatever was asked for."""
    status, answer = ok(5)
    async with bot_api((status, pack(answer))) as api, TelegramClient(TOKEN, api.url) as client:
        api.headers = f"Content-Encoding: {'deflate' if pack is zlib.compress else 'GZIP'}\r\n"
        assert await client.send_message(42, "a") == Delivered(5)


@pytest.mark.parametrize("status", [200, 502])
async def test_an_endless_answer_is_read_no_further_than_its_limit(status: int) -> None:
    """What is cut is judged as it stands: a success is unreadable, and what is not Telegram's own is Down."""
    body = b'{"ok":true,"result":{"message_id":7,"text":"' + b"x" * ANSWER_LIMIT + b'"}}'
    async with bot_api((status, body)) as api, TelegramClient(TOKEN, api.url) as client:
        answer = await client.send_message(42, "a")
    assert answer == (Unreadable() if status == 200 else Down("502 not from Telegram itself"))


async def test_an_answer_that_inflates_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few KiB of gzip are read as far as the limit, not inflated to what they claim to be."""
    seen: list[int] = []

    def read(_status: int, body: bytes, _read_result: object) -> Answer:
        seen.append(len(body))
        return Unreadable()

    monkeypatch.setattr(client_module, "read_answer", read)
    async with bot_api((200, gzip.compress(b" " * (64 * ANSWER_LIMIT)))) as api, TelegramClient(TOKEN, api.url) as it:
        api.headers = "Content-Encoding: gzip\r\n"
        await it.send_message(42, "a")
    assert seen == [ANSWER_LIMIT]


async def test_loopback_is_never_spoken_to_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment names: a proxy could reach another machine's loopback only."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    async with bot_api(ok(3)) as api, TelegramClient(TOKEN, api.url) as client:
        assert await client.send_message(42, "a") == Delivered(3)


async def test_a_closed_client_opens_again() -> None:
    """A second `async with` sends as the first did; a slash at the end of the address changes nothing."""
    async with bot_api() as api:
        client = TelegramClient(TOKEN, api.url + "/")
        for _ in range(2):
            async with client:
                assert await client.send_message(42, "a") == Delivered(7)


async def test_the_token_is_never_said(caplog: pytest.LogCaptureFixture) -> None:
    """No log line at DEBUG, no answer and no repr holds the token, even when Telegram repeats it."""
    echo = f"https://api.telegram.org/bot{TOKEN}/sendMessage"
    answers = [ok(), no(400, echo), (502, echo.encode()), (200, echo.encode()), no(401, echo), CUT]
    for name in ("", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    said = []
    with capture_logs() as logs:
        async with bot_api(*answers) as api, TelegramClient(TOKEN, api.url) as client:
            said = [repr(await client.send_message(42, "a")) for _ in answers]
            said.append(repr(client))
        async with TelegramClient(TOKEN, "nowhere") as client:
            said.append(repr(await client.send_message(42, "a")))
    lines = [record.getMessage() for record in caplog.records]
    assert any("<token>" in line for line in said), "an echo was scrubbed"
    assert TOKEN not in "\n".join([*lines, caplog.text, *said, repr(logs)])
