"""The fal twin's queue and list of requests answer as docs/fal.md says."""

import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from app.domain.look import AtEnd, AtWork, Queued, Result, Trouble, Unknown, Unsaid
from app.fal.api import FalQueueApi
from app.fal.client import Client, make_client
from app.fal.queue_answers import read_listed, read_result, read_status
from app.twins import bodies
from app.twins.fal import FalTwin
from app.twins.fal_queue import RATE_LIMITED, FalJob
from app.twins.faults import Hang
from tests.fakes import START, FrozenClock

pytestmark = pytest.mark.anyio

KEY = "key-id:planted-fal-key"
APP = "fal-ai/flux-lora-portrait-trainer"
ID = bodies.job_id(1)


class Queue:
    """A twin on loopback, with our client and a bare one."""

    def __init__(self, twin: FalTwin, clock: FrozenClock, url: str, http: httpx2.AsyncClient, client: Client) -> None:
        self.twin, self.clock, self.url, self.http = twin, clock, url, http
        self.api = FalQueueApi(url, url, KEY, client, clock.now)

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.http.get(f"{self.url}/{path}", headers={"authorization": f"Key {KEY}", **headers})

    async def put(self, path: str) -> httpx2.Response:
        return await self.http.put(f"{self.url}/{path}", headers={"authorization": f"Key {KEY}"})

    async def page(self, **query: Any) -> dict[str, Any]:
        params = {"endpoint_id": APP, **query}
        answer = await self.http.get(
            f"{self.url}/v1/models/requests/by-endpoint", params=params, headers={"authorization": f"Key {KEY}"}
        )
        assert answer.status_code == 200
        return dict(answer.json())


@pytest.fixture
async def queue(clock: FrozenClock) -> AsyncIterator[Queue]:
    twin = FalTwin(api_key=KEY, clock=clock.elapsed)
    no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads every root certificate, per test
    async with (
        httpx2.AsyncClient(verify=no_tls, timeout=5, trust_env=False) as http,
        make_client() as client,
        twin.serve() as url,
    ):
        yield Queue(twin, clock, url, http, client)


async def test_a_training_goes_its_way_by_the_clock(queue: Queue) -> None:
    """It waits, is at work, is over; before the end the result says 400, afterwards it is the portrait's."""
    queue.twin.train(ID, APP, waits=30, works=300).position = 7
    said = []
    for seconds in (0, 30, 300):
        queue.clock.move(seconds)
        said.append((read_status(await queue.api.status(APP, ID)), read_result(ID, await queue.api.result(APP, ID))))
    assert [state for state, _ in said] == [Queued(7), AtWork(), AtEnd()]
    assert [type(result) for _, result in said] == [AtWork, AtWork, Result]
    assert queue.twin.asked(ID) == {"status": 3, "result": 3}


async def test_an_unfinished_result_tells_the_addresses(queue: Queue) -> None:
    """The answer before the end holds the three URLs, of which the status URL can be asked."""
    queue.twin.train(ID, APP)
    early = await queue.get(f"{APP}/requests/{ID}")
    status = await queue.api.status(APP, ID, early.json()["status_url"])
    assert (early.status_code, early.json()["detail"]) == (400, "Request is still in progress")
    assert early.json()["response_url"] == f"{queue.url}/{APP}/requests/{ID}"
    assert read_status(status) == AtWork()


async def test_a_failure_is_completed_without_an_error(queue: Queue) -> None:
    """Only the result tells: 422 with fal's list of details."""
    queue.twin.train(ID, APP)
    queue.twin.fail(ID)
    status = await queue.get(f"{APP}/requests/{ID}/status")
    result = await queue.get(f"{APP}/requests/{ID}")
    assert (status.status_code, status.json()["status"], "error" in status.json()) == (200, "COMPLETED", False)
    assert (result.status_code, result.json()["detail"][0]["type"]) == (422, "face_detection_error")


async def test_what_is_unknown(queue: Queue) -> None:
    """A request is known under its app alone; its state is denied even without a key."""
    queue.twin.train(ID, APP)
    other = bodies.job_id(2)
    answers = [
        await queue.get(f"{APP}/requests/{other}/status"),
        await queue.http.get(f"{queue.url}/{APP}/requests/{other}/status"),
        await queue.get(f"{APP}/requests/{other}"),
        await queue.get(f"fal-ai/other/requests/{ID}"),
        await queue.put(f"{APP}/requests/{other}/cancel"),
    ]
    assert [answer.status_code for answer in answers] == [404] * 5
    assert [answer.json() for answer in answers] == [
        {"status": "NOT_FOUND"},
        {"status": "NOT_FOUND"},
        {"detail": "Request not found"},
        {"detail": "Request not found"},
        {"status": "NOT_FOUND"},
    ]


async def test_a_bad_key_and_a_locked_account(queue: Queue) -> None:
    """Every question is refused, in the words of the queue and of the platform API."""
    queue.twin.succeed(ID)
    listing = f"v1/models/requests/by-endpoint?endpoint_id={APP}"
    paths = (f"{APP}/requests/{ID}", f"{APP}/requests/{ID}/status", f"{APP}/requests/x/status", listing)
    bad = [await queue.get(path, authorization="Key wrong") for path in paths]
    queue.twin.locked = "Exhausted balance"
    locked = [await queue.get(path) for path in paths]
    assert [answer.status_code for answer in bad] == [401] * 4
    assert bad[0].json() == {"detail": "invalid key credentials"}
    assert bad[3].json()["error"]["message"] == "invalid key credentials"
    assert [answer.status_code for answer in locked[:2] + locked[3:]] == [403] * 3
    assert locked[0].json() == {"detail": "User is locked. Reason: Exhausted balance."}
    for said in (read_status(await queue.api.status(APP, ID)), read_listed(ID, await queue.api.listed(APP, ID))):
        assert isinstance(said, Unsaid)
        assert said.trouble is Trouble.ACCOUNT_LOCKED


async def test_the_sub_path_is_no_address(queue: Queue) -> None:
    """Owner and app, three segments in two namespaces; more is 405."""
    queue.twin.train(ID, "workflows/me/mine/run")
    codes = [
        (await queue.get(f"{app}/requests/{ID}/status")).status_code
        for app in ("workflows/me/mine", "workflows/me/mine/run", "workflows/me", f"{APP}/fast")
    ]
    assert codes == [202, 405, 404, 405]
    assert (await queue.get(f"workflows/me/requests/{ID}")).json() == {"detail": "Path /mine not found"}
    said = read_status(await queue.api.status("workflows/me", ID, f"{queue.url}/workflows/me/requests/{ID}/status"))
    assert isinstance(said, Unsaid)
    assert said.trouble is Trouble.FAL_ODD


async def test_a_cancelled_request_ends_with_499(queue: Queue) -> None:
    """Cancelling is asked for once; what ended cannot be cancelled, what is at work may finish all the same."""
    queue.twin.train(ID, APP)
    stubborn = bodies.job_id(2)
    queue.twin.train(stubborn, APP).ignores_cancel = True
    first, again = [await queue.put(f"{APP}/requests/{ID}/cancel") for _ in range(2)]
    ignored = await queue.put(f"{APP}/requests/{stubborn}/cancel")
    result = await queue.get(f"{APP}/requests/{ID}")
    assert (first.status_code, first.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert (again.status_code, again.json()) == (400, {"status": "ALREADY_COMPLETED"})
    assert (result.status_code, result.json()["error_type"]) == (499, "client_cancelled")
    assert ignored.status_code == 202
    assert queue.twin.jobs[stubborn].at(queue.clock.at.timestamp()) == "IN_PROGRESS"
    assert queue.twin.asked(ID) == {"cancel": 2, "result": 1}


async def test_a_request_that_waits_is_removed_at_once(queue: Queue) -> None:
    """200 instead of 202; a finished one may answer in words alone, without a status."""
    queue.twin.train(ID, APP, waits=30)
    removed = await queue.put(f"{APP}/requests/{ID}/cancel")
    queue.twin.jobs[ID].refuses_cancel_with = "Request is already completed"
    again = await queue.put(f"{APP}/requests/{ID}/cancel")
    assert (removed.status_code, removed.json()) == (200, {"status": "CANCELLATION_REQUESTED"})
    assert (again.status_code, again.json()) == (400, {"detail": "Request is already completed"})
    assert queue.twin.jobs[ID].status_code == 499


async def test_without_a_balance_a_request_waits_first_in_line_for_ever(queue: Queue) -> None:
    """Position 0, whenever it is asked for; its result says that it is still in progress."""
    queue.twin.jobs[ID] = FalJob("IN_QUEUE", endpoint=APP)
    for _ in range(3):
        assert read_status(await queue.api.status(APP, ID)) == Queued(0)
        assert read_result(ID, await queue.api.result(APP, ID)) == AtWork()
        queue.clock.move(7 * 86_400)


@pytest.mark.parametrize("reason", ["Exhausted balance", "Admin lock", "TOP_UP"])
async def test_every_lock_is_one(queue: Queue, reason: str) -> None:
    """Whatever fal says of its reason, for the result as for the state."""
    queue.twin.succeed(ID)
    queue.twin.locked = reason
    for said in (read_status(await queue.api.status(APP, ID)), read_result(ID, await queue.api.result(APP, ID))):
        assert isinstance(said, Unsaid)
        assert said.trouble is Trouble.ACCOUNT_LOCKED
        assert reason in said.detail


async def test_a_result_is_forgotten_by_the_queue_and_kept_by_the_list(queue: Queue) -> None:
    """What expired looks as if it never was; the list still has it, or nobody has."""
    queue.twin.train(ID, APP, works=60).forgotten_at = queue.clock.at.timestamp() + 3600
    queue.clock.move(3599)
    kept = read_result(ID, await queue.api.result(APP, ID))
    queue.clock.move(1)
    gone = [read_status(await queue.api.status(APP, ID)), read_result(ID, await queue.api.result(APP, ID))]
    listed = read_listed(ID, await queue.api.listed(APP, ID))
    queue.twin.jobs[ID].is_listed = False
    assert isinstance(kept, Result)
    assert gone == [Unknown(), Unknown()]
    assert listed == kept
    assert read_listed(ID, await queue.api.listed(APP, ID)) == Unknown()


async def test_forgetting_by_hand(queue: Queue) -> None:
    """A test may let the queue forget at once, and the list without what was given."""
    queue.twin.succeed(ID)
    queue.twin.forget(ID)
    queue.twin.jobs[ID].keeps_output = False
    said = read_listed(ID, await queue.api.listed(APP, ID))
    assert read_result(ID, await queue.api.result(APP, ID)) == Unknown()
    assert isinstance(said, Unsaid)


async def test_a_hung_request_does_not_hang_the_others(queue: Queue) -> None:
    """A fault of one job hits every question about it and nothing else."""
    other = bodies.job_id(2)
    queue.twin.jobs[ID] = FalJob(fault=Hang())
    queue.twin.succeed(other)
    with pytest.raises(httpx2.ReadTimeout):
        await queue.http.get(f"{queue.url}/{APP}/requests/{ID}/status", timeout=httpx2.Timeout(30, read=0.05))
    assert (await queue.get(f"{APP}/requests/{other}/status")).status_code == 200


async def test_pages_shift_when_something_ends_meanwhile(queue: Queue) -> None:
    """The cursor is a page's number: an entry may come on two pages, so pages are read with overlap."""
    for number in range(3):
        queue.twin.train(bodies.job_id(number), APP, works=60 + number)
    queue.clock.move(100)
    first = await queue.page(limit=2)
    queue.twin.train(bodies.job_id(9), APP, works=1)
    queue.clock.move(100)
    second = await queue.page(limit=2, cursor=first["next_cursor"])
    ids = [[item["request_id"] for item in page["items"]] for page in (first, second)]
    assert ids == [[bodies.job_id(2), bodies.job_id(1)], [bodies.job_id(1), bodies.job_id(0)]]
    assert (first["has_more"], first["next_cursor"]) == (True, "2")
    assert (second["has_more"], second["next_cursor"]) == (False, None)
    assert "json_output" not in first["items"][0]


async def test_the_list_is_of_the_endpoints_and_days_that_are_asked_for(queue: Queue) -> None:
    """Without a start it goes back a day, or 90 for one request; an endpoint must be named."""
    queue.twin.train(ID, APP)
    queue.twin.train(bodies.job_id(2), "fal-ai/other")
    queue.clock.move(2 * 86_400)
    assert (await queue.page())["items"] == []
    assert [item["request_id"] for item in (await queue.page(start=START.isoformat()))["items"]] == [ID]
    (item,) = (await queue.page(request_id=ID, expand="payloads"))["items"]
    assert (item["status_code"], item["endpoint_id"]) == (200, APP)
    assert item["json_output"] == bodies.portrait(ID)
    assert (item["sent_at"], item["ended_at"]) == ("2026-11-22T12:00:00Z", "2026-11-22T12:01:00Z")
    assert (await queue.get("v1/models/requests/by-endpoint")).status_code == 422


async def test_an_unfinished_request_is_listed_without_an_end(queue: Queue) -> None:
    """Status code and end are null until it is over."""
    queue.twin.train(ID, APP)
    (item,) = (await queue.page(request_id=ID, expand="payloads"))["items"]
    assert (item["ended_at"], item["status_code"], item["duration"], item["json_output"]) == (None, None, None, None)
    assert read_listed(ID, await queue.api.listed(APP, ID)) == AtWork()
    assert queue.twin.asked(ID) == {"listed": 2}


async def test_the_list_may_refuse_while_the_queue_answers(queue: Queue) -> None:
    """429 of the platform API has no figures, and is no trouble of the queue."""
    queue.twin.succeed(ID)
    queue.twin.list_fault = RATE_LIMITED
    said = read_listed(ID, await queue.api.listed(APP, ID))
    assert isinstance(said, Unsaid)
    assert said.trouble is Trouble.RATE_LIMITED
    assert isinstance(read_result(ID, await queue.api.result(APP, ID)), Result)
