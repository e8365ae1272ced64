"""The Telegram twin takes and refuses messages as docs/telegram.md says."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator

import httpx2
import pytest

from app.twins import telegram_faults
from app.twins.faults import Fault, Hang, Slow
from app.twins.markup import MarkupRefused, visible_text
from app.twins.telegram import TelegramTwin

pytestmark = pytest.mark.anyio

NOW = 1_790_000_000
TOKEN = "123456:planted-token"


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads every root certificate, per test
    async with httpx2.AsyncClient(verify=no_tls, timeout=5, trust_env=False) as http:
        yield http


class Naps(list[float]):
    """Sleeps in no time and remembers how long it should have taken, in seconds."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.mark.parametrize("as_json", [True, False])
async def test_send_message_is_taken_as_form_or_json(as_json: bool, client: httpx2.AsyncClient) -> None:
    """A message in either encoding is answered with its id and logged with text, keyboard and chat."""
    twin = TelegramTwin(clock=lambda: NOW)
    markup = {"inline_keyboard": [[{"text": "Open", "callback_data": "x" * 64}]]}
    fields = {"chat_id": 77, "text": "<b>Сәлем</b> &amp; hi", "parse_mode": "HTML"}
    async with twin.serve() as url:
        to = f"{url}/bot{TOKEN}/sendMessage"
        if as_json:
            answer = await client.post(to, json={**fields, "reply_markup": markup})
        else:
            answer = await client.post(to, data={**fields, "reply_markup": json.dumps(markup)})
        heard = await twin.heard(1)
    assert answer.json()["result"]["message_id"] == heard[0].message_id == 1
    assert answer.json()["result"]["text"] == heard[0].shown == "Сәлем & hi"
    assert (heard[0].chat_id, heard[0].reply_markup, heard[0].at) == (77, markup, NOW)


async def test_an_edit_takes_the_place_of_a_message(client: httpx2.AsyncClient) -> None:
    """New words replace the old ones; the same words, and a message that is not there, are refused as Telegram does."""
    twin = TelegramTwin()
    async with twin.serve() as url:
        await client.post(
            f"{url}/bot{TOKEN}/sendMessage", json={"chat_id": 7, "text": "a", "disable_notification": True}
        )
        edit = {"chat_id": 7, "message_id": 1, "text": "b"}
        answers = [
            await client.post(f"{url}/bot{TOKEN}/editMessageText", json=fields)
            for fields in (edit, edit, {**edit, "message_id": 2}, {**edit, "chat_id": 8}, {**edit, "text": " "})
        ]
    assert [answer.json().get("description", "").removeprefix("Bad Request: ") for answer in answers] == [
        "",
        "message is not modified",
        "message to edit not found",
        "message to edit not found",
        "message text is empty",
    ]
    assert [(one.text, one.is_silent, one.edits) for one in twin.messages] == [("b", True, 1)]


async def test_get_me_unknown_methods_and_wrong_tokens(client: httpx2.AsyncClient) -> None:
    """getMe names the bot, an unknown method is 404, a wrong token 401, and no log entry holds a token."""
    twin = TelegramTwin(tokens={TOKEN})
    async with twin.serve() as url:
        me = await client.get(f"{url}/bot{TOKEN}/getMe")
        unknown = await client.post(f"{url}/bot{TOKEN}/getUpdates")
        wrong = await client.post(f"{url}/bot1:x/sendMessage", data={"chat_id": 1, "text": "hi"})
    assert me.json()["result"]["is_bot"] is True
    assert (unknown.status_code, wrong.status_code, wrong.json()["description"]) == (404, 401, "Unauthorized")
    assert [call.name for call in twin.calls] == ["getMe", "getUpdates", "sendMessage"]
    assert TOKEN not in repr(twin.calls)


@pytest.mark.parametrize(
    ("fields", "description"),
    [
        ({"text": "<x>"}, "can't parse entities"),
        ({"text": "<b>open"}, "can't parse entities"),
        ({"text": "a < b"}, "can't parse entities"),
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": " "}, "message text is empty"),
        ({"text": "hi", "chat_id": "@nobody"}, "chat not found"),
        ({"text": "hi", "reply_markup": "{"}, "can't parse reply keyboard markup"),
        (
            {"text": "hi", "reply_markup": {"inline_keyboard": [[{"text": "b", "callback_data": "ы" * 33}]]}},
            "BUTTON_DATA_INVALID",
        ),
    ],
)
async def test_what_telegram_refuses(fields: dict[str, object], description: str, client: httpx2.AsyncClient) -> None:
    """Bad markup, length, chat and keyboard get Telegram's 400 and its words, and nothing is delivered."""
    twin = TelegramTwin()
    async with twin.serve() as url:
        answer = await client.post(f"{url}/bot{TOKEN}/sendMessage", json={"chat_id": 1, "parse_mode": "HTML", **fields})
    assert (answer.status_code, answer.json()["ok"]) == (400, False)
    assert description in answer.json()["description"]
    assert twin.messages == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("&lt;b&gt; &#1055; &copy;", "<b> П &copy;"),
        ('<a href="https://x">l<i>i</i>nk</a>!', "link!"),
        ('<span class="tg-spoiler">s</span>', "s"),
        ("<b>crossed<i></b></i>", None),
        ("</b>", None),
        ("<span>s</span>", None),
        ("<b", None),
        ("x</", None),
    ],
)
def test_markup_is_read_as_telegram_reads_it(text: str, shown: str | None) -> None:
    """Known tags and entities vanish into what a person sees; the rest is refused."""
    if shown is None:
        with pytest.raises(MarkupRefused):
            visible_text(text)
    else:
        assert visible_text(text) == shown


async def test_faults_meet_their_chat_in_order_then_everybody(client: httpx2.AsyncClient) -> None:
    """A chat's faults come first, then those for anybody, then standing ones, until mended."""
    twin = TelegramTwin()
    twin.fail(telegram_faults.rate_limited(30), telegram_faults.BLOCKED, chat_id=1)
    twin.fail(telegram_faults.BAD_GATEWAY)
    twin.fail(telegram_faults.UNAUTHORIZED, standing=True)
    async with twin.serve() as url:

        async def send(chat_id: int) -> httpx2.Response:
            return await client.post(f"{url}/bot{TOKEN}/sendMessage", data={"chat_id": chat_id, "text": "hi"})

        limited, blocked, gateway, revoked = [await send(1) for _ in range(4)]
        me = await client.post(f"{url}/bot{TOKEN}/getMe")
        twin.mend()
        healed = await send(1)
    assert limited.json()["parameters"] == {"retry_after": 30}
    assert limited.headers["retry-after"] == "30"
    assert [blocked.status_code, gateway.status_code, revoked.status_code, me.status_code] == [403, 502, 401, 401]
    assert "html" in gateway.headers["content-type"]
    assert healed.status_code == 200
    assert [call.status for call in twin.calls] == [429, 403, 502, 401, 401, 200]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (Slow(3), 200),
        (telegram_faults.CHAT_NOT_FOUND, 400),
        (telegram_faults.NOT_FOUND, 404),
        (telegram_faults.SERVER_ERROR, 500),
        (telegram_faults.BAD_JSON, 200),
        (telegram_faults.refusal(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1001), 400),
    ],
)
async def test_every_fault_answers(fault: Fault, status: int, client: httpx2.AsyncClient) -> None:
    """Each fault gives the status that the dossier lists; only a slow answer is a delivery."""
    naps = Naps()
    twin = TelegramTwin(sleep=naps)
    twin.fail(fault)
    async with twin.serve() as url:
        answer = await client.post(f"{url}/bot{TOKEN}/sendMessage", data={"chat_id": 1, "text": "hi"})
    assert answer.status_code == status
    assert (len(twin.messages), naps) == ((1, [3]) if isinstance(fault, Slow) else (0, []))


@pytest.mark.parametrize(("fault", "delivered"), [(Hang(), 0), (telegram_faults.DELIVERED_THEN_HANG, 1)])
async def test_a_hung_send_may_have_been_delivered(fault: Hang, delivered: int, client: httpx2.AsyncClient) -> None:
    """Both ways of hanging time out at the client; only one of them delivered the message."""
    twin = TelegramTwin()
    twin.fail(fault)
    async with twin.serve() as url:
        short = httpx2.Timeout(5, read=0.2)  # a busy machine may take its time to connect
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(f"{url}/bot{TOKEN}/sendMessage", data={"chat_id": 1, "text": "hi"}, timeout=short)
    assert len(twin.messages) == delivered


async def test_waiting_for_messages_ends_in_time() -> None:
    """heard() raises TimeoutError when too few messages arrive."""
    with pytest.raises(TimeoutError):
        await TelegramTwin().heard(1, within=0)


async def test_waiting_ends_with_the_message_waited_for(client: httpx2.AsyncClient) -> None:
    """heard() returns once the message arrives, and sees the others that arrived before it."""
    twin = TelegramTwin()
    async with twin.serve() as url:
        waiting = asyncio.create_task(twin.heard(2))
        for text in ("one", "two"):
            await client.post(f"{url}/bot{TOKEN}/sendMessage", data={"chat_id": 1, "text": text})
        heard = await waiting
    assert [message.text for message in heard] == ["one", "two"]


@pytest.mark.parametrize("body", [b"{", b"[]"])
async def test_a_body_that_is_no_json_object_names_no_chat(body: bytes, client: httpx2.AsyncClient) -> None:
    """A broken JSON body is a refusal, not a crash."""
    twin = TelegramTwin()
    async with twin.serve() as url:
        answer = await client.post(
            f"{url}/bot{TOKEN}/sendMessage", content=body, headers={"content-type": "application/json"}
        )
    assert (answer.status_code, answer.json()["description"]) == (400, "Bad Request: chat not found")
