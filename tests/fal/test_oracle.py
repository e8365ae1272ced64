"""fal's own Python client against the fal twin: what it understands of an answer, our client understands of it too.

The twin is the project's picture of fal. Where fal's client and ours agree about every answer of it, an error of the
picture would have to be one of both.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import fal_client
import pytest
from fal_client import client as oracle

from app.domain.job import Stage
from app.domain.look import AtEnd, AtWork, Queued, Result, Unknown, Unsaid
from app.domain.submit_outcome import AlreadyOver, Cancelled, NotTaken, Submitted
from app.fal.api import FalQueueApi
from app.fal.client import make_client
from app.fal.queue_answers import read_result, read_status
from app.fal.submit import FalSubmitApi
from app.fal.uploads import LIFETIME, FalStorage
from app.twins.fal import FalTwin
from app.twins.fal_queue import FalJob
from app.twins.faults import Instead
from tests.fakes import START

pytestmark = pytest.mark.anyio

KEY = "key-id:key-secret"
WEBHOOK = "https://aibots.kz:8443/api/v1/avatar/status_update?training_type=style&job=" + "b" * 32
GIVEN = {"images_data_url": "https://photos.example/ф.zip?a=1&b=2", "steps": 1000, "is_style": True}
ENDPOINTS = (
    "fal-ai/flux-lora-portrait-trainer",
    "fal-ai/flux-lora-fast-training",
    "fal-ai/flux-2-trainer/edit",
    "fal-ai/kling-video/v2/master",
    "workflows/me/mine/run",
    "comfy/me/mine",
)


@dataclass
class Both:
    """fal's client and ours, at one twin."""

    twin: FalTwin
    oracle: fal_client.AsyncClient
    desk: FalSubmitApi
    queue: FalQueueApi


@asynccontextmanager
async def at_one_twin(monkeypatch: pytest.MonkeyPatch, twin: FalTwin) -> AsyncIterator[Both]:
    async with twin.serve() as url, make_client() as client:
        monkeypatch.setattr(oracle, "QUEUE_URL_FORMAT", f"{url}/")
        theirs = fal_client.AsyncClient(key=KEY, default_timeout=5.0)
        yield Both(twin, theirs, FalSubmitApi(url, url, KEY, client), FalQueueApi(url, url, KEY, client, lambda: START))
        await (await theirs._client).aclose()


@pytest.fixture
async def both(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Both]:
    async with at_one_twin(monkeypatch, FalTwin(api_key=KEY)) as both:
        yield both


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_both_submit_alike(both: Both, endpoint: str) -> None:
    """The same path, arguments, webhook address and key reach the twin, and both read the same addresses back."""
    theirs = await both.oracle.submit(endpoint, GIVEN, webhook_url=WEBHOOK)
    ours = await both.desk.submit(endpoint, GIVEN, WEBHOOK)
    assert isinstance(ours, Submitted)
    first, second = both.twin.submissions
    for name in ("endpoint", "arguments", "webhook"):
        assert getattr(first, name) == getattr(second, name)
    assert first.headers["authorization"] == second.headers["authorization"]
    assert first.headers["content-type"] == second.headers["content-type"]
    for name in ("status_url", "response_url", "cancel_url"):
        assert getattr(theirs, name).replace(theirs.request_id, ours.request_id) == getattr(ours, name)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_both_ask_at_the_same_addresses(both: Both, endpoint: str) -> None:
    """Without an address of fal's both make one up, without the sub-path, and namespaces keep three segments."""
    both.twin.jobs["r1"] = FalJob("IN_PROGRESS", endpoint=endpoint)
    await both.oracle.status(endpoint, "r1")
    await both.queue.status(endpoint, "r1")
    await both.oracle.cancel(endpoint, "r1")
    await both.desk.cancel(endpoint, "r1", None)
    paths = [call.path for call in both.twin.calls if call.name in ("status", "cancel") and call.request_id == "r1"]
    assert paths[0] == paths[1]
    assert paths[-1] == paths[-2]


@pytest.mark.parametrize("state", ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"])
@pytest.mark.parametrize("error", [None, "client_cancelled"])
async def test_both_read_each_status_alike(both: Both, state: Any, error: str | None) -> None:
    """Queued with its position, at work, at an end: an error beside COMPLETED changes nothing of the state."""
    both.twin.jobs["r1"] = FalJob(state, endpoint=ENDPOINTS[0], position=7, error=error, error_type=error)
    theirs = await both.oracle.status(ENDPOINTS[0], "r1")
    ours = read_status(await both.queue.status(ENDPOINTS[0], "r1"))
    match theirs:
        case fal_client.Queued(position):
            assert ours == Queued(position)
        case fal_client.InProgress():
            assert ours == AtWork()
        case fal_client.Completed():
            assert ours == AtEnd()


async def test_both_read_a_result_alike(both: Both) -> None:
    """The model's output is the same object in both hands."""
    both.twin.succeed("r1")
    theirs = await both.oracle.result(ENDPOINTS[0], "r1")
    ours = read_result("r1", await both.queue.result(ENDPOINTS[0], "r1"))
    assert isinstance(ours, Result)
    assert json.loads(ours.body)["payload"] == theirs


@pytest.mark.parametrize("kind", ["face_detection_error", "content_policy_violation", "file_download_error"])
async def test_both_read_a_failure_alike(both: Both, kind: str) -> None:
    """A 422 of the model is an error to fal's client, with the list of details that ours keeps as the job's end."""
    both.twin.fail("r1", kind)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await both.oracle.result(ENDPOINTS[0], "r1")
    ours = read_result("r1", await both.queue.result(ENDPOINTS[0], "r1"))
    assert isinstance(ours, Result)
    assert caught.value.status_code == 422
    detail: Any = caught.value.message
    assert detail[0]["type"] == kind
    assert json.loads(ours.body)["payload"]["detail"][0]["type"] == kind


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (504, "request_timeout"), (504, "startup_timeout"), (503, "runner_scheduling_failure"),
        (503, "runner_connection_timeout"), (503, "runner_disconnected"), (502, "runner_incomplete_response"),
        (500, "runner_server_error"), (500, "internal_error"), (499, "client_disconnected"),
        (499, "client_cancelled"), (400, "bad_request"),
    ],
)  # fmt: skip
async def test_both_read_each_error_type_alike(both: Both, status: int, error_type: str) -> None:
    """The type that fal's client names is the one that our body of the job's end carries."""
    body = json.dumps({"detail": "words", "error_type": error_type}).encode()
    both.twin.jobs["r1"] = FalJob(endpoint=ENDPOINTS[0], status_code=status, body=body)
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await both.oracle.result(ENDPOINTS[0], "r1")
    ours = read_result("r1", await both.queue.result(ENDPOINTS[0], "r1"))
    assert caught.value.error_type == error_type
    assert not isinstance(ours, Unsaid | Unknown | AtWork)
    assert json.loads(ours.body)["payload"]["error_type"] == error_type


async def test_both_meet_an_unknown_request_alike(both: Both) -> None:
    """404 is an error to fal's client and an unknown request to ours."""
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await both.oracle.status(ENDPOINTS[0], "nobody")
    assert caught.value.status_code == 404
    assert read_status(await both.queue.status(ENDPOINTS[0], "nobody")) == Unknown()


@pytest.mark.parametrize("locked", [None, "Exhausted balance", "Admin lock"])
async def test_both_are_refused_alike(both: Both, locked: str | None) -> None:
    """A wrong key is 401 and a locked account 403 to both, and nothing is taken of either."""
    both.twin.locked = locked
    if locked is None:
        both.twin._api_key = "another"
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await both.oracle.submit(ENDPOINTS[0], GIVEN)
    ours = await both.desk.submit(ENDPOINTS[0], GIVEN, WEBHOOK)
    assert caught.value.status_code == (401 if locked is None else 403)
    assert isinstance(ours, NotTaken)
    assert str(caught.value.message) in ours.detail
    assert both.twin.submissions == []


async def test_both_cancel_alike(both: Both) -> None:
    """An open request is cancelled by either; of a finished one fal's client raises and ours says that it is over."""
    for name in ("r1", "r2"):
        both.twin.jobs[name] = FalJob("IN_QUEUE", endpoint=ENDPOINTS[0])
    await both.oracle.cancel(ENDPOINTS[0], "r1")
    assert await both.desk.cancel(ENDPOINTS[0], "r2", None) == Cancelled()
    with pytest.raises(fal_client.FalClientHTTPError) as caught:
        await both.oracle.cancel(ENDPOINTS[0], "r1")
    assert caught.value.status_code == 400
    assert await both.desk.cancel(ENDPOINTS[0], "r2", None) == AlreadyOver()


async def test_fals_client_sends_again_and_ours_does_not(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a gateway answers 502 after fal took it, fal's client submits anew and pays again: so it is not used."""
    monkeypatch.setattr(oracle, "MAX_ATTEMPTS", 2)
    both.twin.submit_fault = Instead(502, b"<html><center>nginx</center></html>", "text/html", effective=True)
    await both.desk.submit(ENDPOINTS[0], GIVEN, WEBHOOK)
    assert len(both.twin.submissions) == 1
    with pytest.raises(fal_client.FalClientHTTPError):
        await both.oracle.submit(ENDPOINTS[0], GIVEN)
    assert len(both.twin.submissions) == 3


async def test_both_store_a_file_alike(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ask for an address with the key and the same expiry; fal's client sends the key to that address, too."""
    async with both.twin.serve() as url, make_client() as client:
        monkeypatch.setattr(oracle, "REST_URL", url)
        expiry = oracle.StorageSettings(expires_in=LIFETIME)
        theirs = await both.oracle.upload(b"zip", "application/zip", "photos.zip", repository="fal", lifecycle=expiry)
        ours = await FalStorage(url, KEY, client).put("photos.zip", "application/zip", b"zip")
    assert set(both.twin.files) == {urlsplit(stored).path for stored in (theirs, ours)}
    assert set(both.twin.files.values()) == {b"zip"}
    assert both.twin.lifecycles[0] == both.twin.lifecycles[1]
    theirs_sent, ours_sent = both.twin.put_headers
    assert theirs_sent["authorization"] == f"Key {KEY}"  # wherever the address leads: ours keeps the key at home
    assert "authorization" not in ours_sent


def test_a_stage_is_read_from_the_answer() -> None:
    """A submission may be at work already when it is answered."""
    assert Submitted("r1").stage is Stage.QUEUED
