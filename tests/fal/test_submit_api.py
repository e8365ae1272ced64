"""A submission is sent once, and its answer read for one question: has fal taken it, surely not, or is that unknown?"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from app.domain.job import Stage
from app.domain.look import Trouble, Unsaid
from app.domain.submit_outcome import AlreadyOver, AnswerLost, Cancelled, NotTaken, Submitted
from app.fal import submit
from app.fal.client import make_client
from app.fal.submit import FalSubmitApi
from app.fal.uploads import FalStorage
from app.twins.fal import FalTwin
from app.twins.faults import Hang, Instead
from tests.fakes import START

pytestmark = pytest.mark.anyio

KEY = "key-id:CANARY-fal-key"
PORTRAIT = "fal-ai/flux-lora-portrait-trainer"
WEBHOOK = "https://aibots.kz:8443/api/v1/avatar/status_update?training_type=portrait&job=" + "a" * 32
GIVEN = {"images_data_url": "https://photos.example/a.zip?sig=1&x=2", "steps": 2500}


@asynccontextmanager
async def desk(twin: FalTwin | None = None, key: str | None = KEY) -> AsyncIterator[tuple[FalSubmitApi, FalTwin]]:
    fal = twin or FalTwin(api_key=KEY)
    async with fal.serve() as url, make_client() as client:
        yield FalSubmitApi(url, url, key, client), fal


async def test_a_submission_reaches_fal_whole() -> None:
    """The arguments are the body, our address is in the query whole, with its own query; the key is in the header."""
    async with desk() as (api, fal):
        said = await api.submit(PORTRAIT, GIVEN, WEBHOOK)
        assert isinstance(said, Submitted)
        [taken] = fal.submissions
        assert (taken.request_id, taken.endpoint, taken.arguments) == (said.request_id, PORTRAIT, GIVEN)
        assert taken.webhook == WEBHOOK
        assert "fal_webhook" not in taken.arguments
        assert taken.headers["authorization"] == f"Key {KEY}"
        assert said.status_url is not None
        assert said.status_url.endswith(f"/{PORTRAIT}/requests/{said.request_id}/status")
        assert said.cancel_url is not None


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (401, {"detail": "invalid key credentials"}, Trouble.FAL_KEY_REFUSED),
        (402, {"detail": "payment required"}, Trouble.ACCOUNT_LOCKED),
        (403, {"detail": "User is locked. Reason: Exhausted balance. Top up"}, Trouble.ACCOUNT_LOCKED),
        (403, {"detail": "User is locked. Reason: Admin lock."}, Trouble.ACCOUNT_LOCKED),
        (403, {"detail": "User is locked. Reason: TOP_UP"}, Trouble.ACCOUNT_LOCKED),
        (403, {"detail": "forbidden"}, Trouble.FAL_KEY_REFUSED),
        (404, {"detail": "Application not found"}, Trouble.FAL_ODD),
        (405, {"detail": "Method Not Allowed"}, Trouble.FAL_ODD),
        (422, {"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]}, Trouble.FAL_ODD),
        (429, {"detail": "concurrent_requests_limit"}, Trouble.RATE_LIMITED),
        (302, {}, Trouble.FAL_ODD),
        (307, {}, Trouble.FAL_ODD),
    ],
)
async def test_a_refusal_is_surely_no_submission(status: int, body: dict[str, object], trouble: Trouble) -> None:
    """What fal refuses it has not taken: each refusal says whose trouble it is, and no redirect is followed."""
    async with desk() as (api, fal):
        fal.submit_fault = Instead(status, json.dumps(body).encode(), headers={"location": "https://evil.example/"})
        said = await api.submit(PORTRAIT, GIVEN, WEBHOOK)
        assert isinstance(said, NotTaken)
        assert said.trouble is trouble
        assert len(fal.calls) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Instead(500, b'{"detail": "internal"}'),
        Instead(502, b"<html>nginx</html>", "text/html", effective=True),
        Instead(503, b"", effective=True),
        Instead(504, b'{"detail": "timeout"}', effective=True),
        Instead(408, b""),
        Instead(200, b"", effective=True),
        Instead(200, b"[]", effective=True),
        Instead(200, b'{"request_id": 7}', effective=True),
        Instead(200, b'{"request_id": ""}', effective=True),
        Instead(200, b"{" * 10_000, effective=True),
        Instead(201, b'{"status": "IN_QUEUE"}', effective=True),
    ],
    ids=lambda fault: f"{fault.status} {fault.body[:20]!r}",
)
async def test_an_answer_that_says_nothing_is_a_lost_one(fault: Instead) -> None:
    """A gateway's 5xx and a success without a request id may hide a job: lost, and sent once (vargHQ/sdk#92)."""
    async with desk() as (api, fal):
        fal.submit_fault = fault
        assert isinstance(await api.submit(PORTRAIT, GIVEN, WEBHOOK), AnswerLost)
        assert len(fal.calls) == 1


async def test_a_fal_that_hangs_is_a_lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """fault 55: the submission was taken and the answer never comes; within the deadline it is lost, and sent once."""
    monkeypatch.setattr(submit, "SECONDS", 0.3)
    async with desk() as (api, fal):
        fal.submit_fault = Hang(effective=True)
        assert isinstance(await api.submit(PORTRAIT, GIVEN, WEBHOOK), AnswerLost)
        assert len(fal.submissions) == 1


Cut = Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]


@asynccontextmanager
async def raw(answer: bytes, seen: list[bytes]) -> AsyncIterator[str]:
    """A server that reads one request, sends these bytes and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        seen.append(head.partition(b"\r\n")[0])
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200", b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"requ'])
async def test_a_connection_that_breaks_is_a_lost_answer(answer: bytes) -> None:
    """fault 55: however early the answer is cut off, no write to fal is repeated by the HTTP client."""
    seen: list[bytes] = []
    async with raw(answer, seen) as url, make_client() as client:
        api = FalSubmitApi(url, url, KEY, client)
        assert isinstance(await api.submit(PORTRAIT, GIVEN, WEBHOOK), AnswerLost)
        cancelled = await api.cancel(PORTRAIT, "r1", None)
        assert isinstance(cancelled, NotTaken)
        assert [line.split()[0] for line in seen] == [b"POST", b"PUT"]


async def test_what_never_left_is_no_submission() -> None:
    """A refused connection, an insecure address, no key, no endpoint: fal surely has nothing."""
    async with make_client() as client:
        for url, key in (
            ("http://127.0.0.1:9", KEY),
            ("http://queue.fal.run", KEY),
            ("https://127.0.0.1:9", None),
            ("https://127.0.0.1:9", "ключ"),
        ):
            said = await FalSubmitApi(url, url, key, client).submit(PORTRAIT, GIVEN, WEBHOOK)
            assert isinstance(said, NotTaken), url
        said = await FalSubmitApi("http://127.0.0.1:9", "", KEY, client).submit("../x", GIVEN, WEBHOOK)
        assert isinstance(said, NotTaken)


async def test_foreign_addresses_in_fals_answer_are_dropped() -> None:
    """An answer that points elsewhere, or at another request, is taken without its addresses."""
    urls = {
        "status_url": "https://evil.example/fal-ai/x/requests/r1/status",
        "response_url": "http://127.0.0.1:1/fal-ai/x/requests/r1",
        "cancel_url": 7,
    }
    async with desk() as (api, fal):
        body = {"request_id": "r1", "status": "IN_PROGRESS", **urls}
        fal.submit_fault = Instead(200, json.dumps(body).encode())
        assert await api.submit(PORTRAIT, GIVEN, WEBHOOK) == Submitted("r1", stage=Stage.AT_WORK)


async def test_what_begins_at_once_is_at_work() -> None:
    """The answer to a submission may say IN_PROGRESS already."""
    async with desk() as (api, fal):
        for tells_state, stage in ((True, Stage.AT_WORK), (False, Stage.QUEUED)):
            fal.tells_state = tells_state
            said = await api.submit(PORTRAIT, GIVEN, WEBHOOK)
            assert isinstance(said, Submitted)
            assert said.stage is stage


async def test_the_key_is_in_no_words() -> None:
    """A service that echoes the header it refuses cannot put our key into a row."""
    async with desk() as (api, fal):
        fal.submit_fault = Instead(403, json.dumps({"detail": f"no: Key {KEY}"}).encode())
        said = await api.submit(PORTRAIT, GIVEN, WEBHOOK)
        assert isinstance(said, NotTaken)
        assert "CANARY" not in said.detail


async def test_a_cancellation_is_read() -> None:
    """An open request is cancelled; a finished one, and one that fal does not know, are over."""
    async with desk() as (api, fal):
        said = await api.submit(PORTRAIT, GIVEN, WEBHOOK)
        assert isinstance(said, Submitted)
        assert await api.cancel(PORTRAIT, said.request_id, said.cancel_url) == Cancelled()
        assert await api.cancel(PORTRAIT, said.request_id, None) == AlreadyOver()
        assert await api.cancel(PORTRAIT, "unknown", None) == AlreadyOver()
        fal.jobs[said.request_id].refuses_cancel_with = "Request is already completed"
        assert await api.cancel(PORTRAIT, said.request_id, None) == AlreadyOver()
        fal.waits = 60.0
        waits = await api.submit(PORTRAIT, GIVEN, WEBHOOK)
        assert isinstance(waits, Submitted)
        assert await api.cancel(PORTRAIT, waits.request_id, None) == Cancelled()  # 200: it was not begun
        fal.locked = "Exhausted balance"
        refused = await api.cancel(PORTRAIT, said.request_id, None)
        assert isinstance(refused, NotTaken)
        assert refused.trouble is Trouble.ACCOUNT_LOCKED


async def test_only_an_order_to_upload_proves_the_account() -> None:
    """A locked account is refused an address to upload to, though it may be told how its requests stand.

    Nothing is uploaded; without a key, and where the storage is down, nothing is proven.
    """
    fal = FalTwin(api_key=KEY)
    async with fal.serve() as url, make_client() as client:
        storage = FalStorage(url, KEY, client)
        assert await storage.is_open()
        assert not await FalStorage(url, None, client).is_open()
        fal.locked = "Exhausted balance"
        assert not await storage.is_open()
        fal.locked, fal.storage_fault = None, Instead(500, b'{"detail": "Internal Server Error"}')
        assert not await storage.is_open()
    assert fal.files == {}


async def test_a_price_is_learnt_or_not() -> None:
    """A price in dollars of this endpoint counts; another currency, an odd figure or no answer is none."""
    async with desk() as (api, fal):
        assert await api.price(PORTRAIT) is None
        fal.prices[PORTRAIT] = (0.0024, "steps")
        price = await api.price(PORTRAIT)
        assert price is not None
        assert (price.dollars, price.unit) == (0.0024, "steps")
        for odd in (
            {"unit_price": "2", "unit": "steps"},
            {"unit_price": True, "unit": "steps"},
            {"unit_price": -1, "unit": "steps"},
            {"unit_price": 1, "unit": None},
            {"unit_price": 1, "unit": "steps", "currency": "KZT"},
        ):
            body = {"prices": [{"endpoint_id": PORTRAIT, **odd}, 7]}
            fal.price_fault = Instead(200, json.dumps(body).encode())
            assert await api.price(PORTRAIT) is None, odd
        fal.price_fault = Instead(500)
        assert await api.price(PORTRAIT) is None


async def test_the_list_tells_what_was_given() -> None:
    """Every page is read, an entry that stands on two of them once; an error of fal's says nothing."""
    async with desk() as (api, fal):
        for _ in range(130):
            await api.submit(PORTRAIT, GIVEN, WEBHOOK)
        listed = await api.recent(PORTRAIT, START - timedelta(days=1))
        assert not isinstance(listed, Unsaid)
        assert len(listed) == 130
        assert GIVEN["images_data_url"] in listed[0].texts
        fal.list_fault = Instead(429, b'{"error": {"type": "rate_limited", "message": "Too many"}}')
        assert isinstance(await api.recent(PORTRAIT, START), Unsaid)


async def test_a_webhook_s_address_survives_the_client() -> None:
    """The address that fal is given stays one parameter, whatever stands in its own query."""
    seen: list[bytes] = []
    async with raw(b"", seen) as url, make_client() as client:
        await FalSubmitApi(url, url, KEY, client).submit(PORTRAIT, GIVEN, WEBHOOK)
    query = urlsplit(seen[0].split()[1].decode()).query
    assert parse_qs(query) == {"fal_webhook": [WEBHOOK]}
