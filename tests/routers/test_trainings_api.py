"""POST, GET and DELETE of /api/v1/trainings, with a twin of fal: what the bot may ask, and what strangers may not."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import select

from app.core.config import Settings
from app.db.engine import Connection, open_database
from app.db.tables import jobs
from app.fal import submit
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.faults import Hang, Instead
from app.twins.signing import ACCOUNT, FalKey, sign
from tests.factories import Bot
from tests.routers.conftest import JSON, Serve, Served

pytestmark = pytest.mark.anyio

TOKEN = "t" * 40
KEY = "key-id:CANARY-fal-key"
TRAININGS = "/api/v1/trainings"
PORTRAIT = "fal-ai/flux-lora-portrait-trainer"
AUTH = {"Authorization": f"Bearer {TOKEN}"}


def body(avatar_id: str, /, **changes: Any) -> dict[str, Any]:
    good = {
        "avatar_id": avatar_id,
        "images_url": "https://photos.example/a.zip",
        "type": "portrait",
        "idempotency_key": "k1",
    }
    return {**good, **changes}


async def post(served: Served, content: Any, **headers: str) -> httpx2.Response:
    return await served.http.post(TRAININGS, json=content, headers={**AUTH, **headers})


async def stored(served: Served) -> list[dict[str, Any]]:
    def load(connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(select(jobs).order_by("id")).mappings()]

    database = open_database(served.database_url)
    try:
        return await database.read(load)
    finally:
        await database.close()


async def avatar_of(served: Served, **more: Any) -> str:
    database = open_database(served.database_url)
    try:
        return await Bot(database).train("", status="ready_for_training", **more)
    finally:
        await database.close()


async def row_of(served: Served, avatar_id: str) -> dict[str, Any]:
    database = open_database(served.database_url)
    try:
        return await Bot(database).avatar(avatar_id)
    finally:
        await database.close()


@asynccontextmanager
async def ready(serve: Serve, **settings: Any) -> AsyncIterator[tuple[Served, str]]:
    async with serve(api_token=TOKEN, fal_api_key=KEY, **settings) as served:
        yield served, await avatar_of(served)


async def until_completed(served: Served, avatar_id: str) -> None:
    for _ in range(500):
        if (await row_of(served, avatar_id))["word"] == "completed":
            return
        await asyncio.sleep(0.02)
    raise AssertionError(await stored(served))


async def until_asked(served: Served, request_id: str) -> None:
    for _ in range(500):
        if served.fal.asked(request_id)["status"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(served.fal.calls)


async def test_a_training_goes_the_whole_way(serve: Serve) -> None:
    """202 with fal's request id, 202 with the same for a repeat; looked at, told by the webhook, and then ended."""
    async with ready(serve) as (served, avatar):
        answers = [await post(served, body(avatar)), await post(served, body(avatar))]
        [taken] = served.fal.submissions
        assert [answer.status_code for answer in answers] == [202, 202]
        assert [answer.json() for answer in answers] == [{"request_id": taken.request_id, "status": "submitted"}] * 2
        shown = (await served.http.get(f"{TRAININGS}/{taken.request_id}", headers=AUTH)).json()
        assert (shown["avatar_id"], shown["status"], shown["stage"]) == (avatar, "pending", "queued")
        webhook = urlsplit(taken.webhook or "")
        assert f"{webhook.scheme}://{webhook.netloc}{webhook.path}" == f"https://aibots.kz:8443{PATH}"
        content = bodies.success(taken.request_id)
        now = int(time.time())
        headers = {**JSON, **sign(served.key, taken.request_id, ACCOUNT, now, content)}
        delivered = await served.http.post(f"{webhook.path}?{webhook.query}", content=content, headers=headers)
        assert delivered.status_code == 200
        await until_completed(served, avatar)
        again = await served.http.delete(f"{TRAININGS}/{taken.request_id}", headers=AUTH)
        assert (again.status_code, again.json()["status"]) == (200, "already_ended")
        assert (await row_of(served, avatar))["word"] == "completed"
        assert served.fal.asked(taken.request_id)["cancel"] == 0


@pytest.mark.parametrize("is_odd", [False, True], ids=["the lean lane", "the full lane"])
async def test_a_lost_answer_is_joined_on_either_lane(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, is_odd: bool
) -> None:
    """fault 55: fal takes it and hangs: 424; its webhook, at the address with the nonce, joins and is applied."""
    monkeypatch.setattr(submit, "SECONDS", 0.3)
    async with ready(serve) as (served, avatar):
        served.fal.submit_fault = Hang(effective=True)
        answer = await post(served, body(avatar))
        assert (answer.status_code, answer.json()["code"]) == (424, "submit_unknown")
        [taken] = served.fal.submissions
        webhook = urlsplit(taken.webhook or "")
        content = bodies.success(taken.request_id)
        now = int(time.time())
        headers = {**JSON, **sign(served.key, taken.request_id, ACCOUNT, now, content)}
        if is_odd:
            headers["Content-Type"] = "application/json;charset=UTF-8"
        delivered = await served.http.post(f"{webhook.path}?{webhook.query}", content=content, headers=headers)
        assert delivered.status_code == 200
        await until_completed(served, avatar)
        again = await post(served, body(avatar))
        assert (again.status_code, again.json()["request_id"]) == (202, taken.request_id)
        assert len(served.fal.submissions) == 1


async def test_a_locked_account_is_402(serve: Serve) -> None:
    """The bot hears that it is our account, not its photos; nothing is at work, and a top-up lets the key through."""
    async with ready(serve) as (served, avatar):
        served.fal.locked = "Exhausted balance"
        answer = await post(served, body(avatar))
        assert (answer.status_code, answer.json()["code"]) == (402, "account_exhausted")
        served.fal.locked = None
        assert (await post(served, body(avatar))).status_code == 202


async def test_a_cancellation_is_fals_to_grant(serve: Serve) -> None:
    """202, and the row stays at training until the result says what became of it."""
    async with ready(serve) as (served, avatar):
        request_id = (await post(served, body(avatar))).json()["request_id"]
        answer = await served.http.delete(f"{TRAININGS}/{request_id}", headers=AUTH)
        assert (answer.status_code, answer.json()["status"]) == (202, "cancel_requested")
        assert served.fal.asked(request_id)["cancel"] == 1
        assert (await row_of(served, avatar))["word"] in ("training", "error")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_an_unknown_training_is_404(serve: Serve, method: str) -> None:
    """Nobody learns from us whether fal knows a request; fal is not asked."""
    async with ready(serve) as (served, _):
        for name in ("nobody", "%2e%2e", "a%20b", "x" * 300):
            answer = await served.http.request(method, f"{TRAININGS}/{name}", headers=AUTH)
            assert (answer.status_code, answer.json()["code"]) == (404, "training_unknown"), name
        assert [call.name for call in served.fal.calls if call.name in ("cancel", "status")] == []


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": ""}, {"Authorization": "Bearer x"}, {"Authorization": TOKEN}]
)
async def test_a_stranger_gets_nothing(serve: Serve, headers: dict[str, str]) -> None:
    """No token or a wrong one: 401 with the challenge, before a byte of the body is read; nothing stored or asked."""
    async with ready(serve) as (served, avatar):
        content = json.dumps(body(avatar)).encode()
        for method, path in (("POST", ""), ("GET", "/r1"), ("DELETE", "/r1")):
            answer = await served.http.request(method, TRAININGS + path, content=content, headers={**JSON, **headers})
            assert (answer.status_code, answer.json()["code"]) == (401, "token_wrong"), method
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await stored(served), served.fal.submissions) == ([], [])


async def test_a_closed_api_submits_nothing(serve: Serve) -> None:
    """Without API_TOKEN nobody may submit, whatever they send."""
    async with serve(fal_api_key=KEY) as served:
        answer = await post(served, body(await avatar_of(served)))
        assert (answer.status_code, answer.json()["code"]) == (403, "api_closed")
        assert served.fal.submissions == []


ODD: list[dict[str, Any]] = [
    {"avatar_id": "../../etc"},
    {"avatar_id": 7},
    {"avatar_id": "' OR 1=1 --"},
    {"images_url": "http://photos.example/a.zip"},
    {"images_url": "https://me:secret@photos.example/a.zip"},
    {"images_url": "https://photos.example/" + "a" * 3000},
    {"images_url": "https://photos.example/a b"},
    {"images_url": "javascript:alert(1)"},
    {"images_url": None},
    {"type": "video"},
    {"type": "PORTRAIT"},
    {"steps": 0},
    {"steps": 1e9},
    {"steps": "2500"},
    {"steps": True},
    {"trigger": ""},
    {"trigger": "a" * 51},
    {"trigger": "a\u0000b"},
    {"trigger": "a\nb"},
    {"idempotency_key": ""},
    {"idempotency_key": "k" * 256},
    {"idempotency_key": "a b"},
    {"chat_id": 5},
    {"language": "ru"},
    {"endpoint": "evil/app"},
    {"webhook_url": "https://evil.example/"},
    {"status_url": "https://evil.example/"},
]


async def test_a_careless_bot_is_told_which_field(serve: Serve) -> None:
    """400 malformed: foreign addresses, chats and endpoints included; nothing is stored, nothing sent."""
    async with ready(serve) as (served, avatar):
        for change in ODD:
            answer = await post(served, body(avatar, **change))
            assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), change
        assert (await stored(served), served.fal.submissions) == ([], [])


async def test_huge_and_odd_bodies_are_refused(serve: Serve) -> None:
    """Half JSON, no object, deep nesting, another type, too large: the documented code, and nothing is stored."""
    async with ready(serve) as (served, avatar):
        good = json.dumps(body(avatar)).encode()
        sent = [
            (b"", JSON, 400),
            (b"{", JSON, 400),
            (b"null", JSON, 400),
            (b"[" * 60_000, JSON, 400),
            (b"\xff\xfe", JSON, 400),
            (good, {"Content-Type": "text/plain"}, 415),
            (good, {}, 415),
            (good + b" " * 70_000, JSON, 413),
        ]
        for content, headers, status in sent:
            answer = await served.http.post(TRAININGS, content=content, headers={**AUTH, **headers})
            assert answer.status_code == status, content[:20]
        assert (await stored(served), served.fal.submissions) == ([], [])


async def test_another_s_avatar_is_not_the_bots_to_name(serve: Serve) -> None:
    """An avatar that there is not is 404; one that is at work is 409, whoever owns it."""
    async with ready(serve) as (served, avatar):
        answer = await post(served, body("0b0f5b9e-5f6c-4a51-9d3b-7f2f4b0a1c11"))
        assert (answer.status_code, answer.json()["code"]) == (404, "avatar_unknown")
        await post(served, body(avatar))
        answer = await post(served, body(avatar, idempotency_key="k2"))
        assert (answer.status_code, answer.json()["code"]) == (409, "at_work")


async def test_another_fal_customer_cannot_end_our_training(serve: Serve) -> None:
    """What fal signed for another account is 403 at the very address of our submission, and joins nothing."""
    async with ready(serve) as (served, avatar):
        served.fal.submit_fault = Instead(502, effective=True)
        await post(served, body(avatar))
        [taken] = served.fal.submissions
        webhook = urlsplit(taken.webhook or "")
        content, now = bodies.success("r-of-theirs"), int(time.time())
        for key, account, status in ((served.key, "someone-else", 403), (FalKey.generate(), ACCOUNT, 401)):
            headers = {**JSON, **sign(key, "r-of-theirs", account, now, content)}
            answer = await served.http.post(f"{webhook.path}?{webhook.query}", content=content, headers=headers)
            assert answer.status_code == status
        [job] = await stored(served)
        assert job["request_id"] is None


async def test_the_key_goes_to_no_foreign_host(serve: Serve) -> None:
    """A listener that fal's answer points to, by redirect and by address, never hears of us; neither do the photos'."""
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(65_536))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        foreign = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with ready(serve, reconcile_after=1, reconcile_every=1) as (served, avatar):
            served.fal.submit_fault = Instead(307, headers={"location": f"{foreign}/take"})
            assert (await post(served, body(avatar))).status_code == 400
            urls = dict.fromkeys(("status_url", "response_url", "cancel_url"), f"{foreign}/fal-ai/x/requests/r1")
            served.fal.submit_fault = Instead(200, bodies.dumps({"request_id": "r1", "status": "IN_QUEUE", **urls}))
            assert (await post(served, body(avatar, images_url=f"https://{foreign[7:]}/a.zip"))).status_code == 202
            assert (await served.http.delete(f"{TRAININGS}/r1", headers=AUTH)).status_code in (200, 202)
            await until_asked(served, "r1")
            jobs_ = await stored(served)
            assert [job["status_url"] for job in jobs_] == [None, None]
    assert heard == []


async def test_the_bots_words_are_in_no_row(serve: Serve) -> None:
    """Neither the photos' address nor a token is stored or logged with a submission."""
    async with ready(serve) as (served, avatar):
        await post(served, body(avatar, images_url="https://photos.example/private-photos.zip?token=CANARY"))
        text_of_rows = str(await stored(served))
        assert "private-photos" not in text_of_rows
        assert "CANARY" not in text_of_rows


def test_the_setting_of_the_limit() -> None:
    """TRAINING_MAX_USD is ten dollars unless it is set."""
    assert Settings().training_max_usd == 10
