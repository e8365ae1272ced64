import json
import traceback
from collections.abc import Callable

import httpx2
import pytest

from app.domain.errors import ResultUnavailable
from app.domain.notification import Cause
from app.domain.training import Artifacts, Completed, Failed, Reading, Trainer
from app.fal.api import BODY_LIMIT, FalQueueApi
from app.fal.payload import read_result
from app.flows.ports import FalQueue

pytestmark = pytest.mark.anyio

ID = "019a83c2-7c4a-7b8e-9a51-0c6c2f8f2b11"
LORA = "https://v3b.fal.media/files/b/panda/lora.safetensors"
KEY = "key-id:CANARY-fal-key"


class Queue:
    """fal's queue API: answers every request alike and remembers them."""

    def __init__(self, status: int = 200, body: object = None) -> None:
        self.status = status
        self.body = body
        self.requests: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        if isinstance(self.body, Exception):
            raise self.body
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return httpx2.Response(self.status, content=content, headers={"Location": "https://evil.example/"})

    def api(self, key: str | None = KEY) -> FalQueue:
        client = httpx2.AsyncClient(transport=httpx2.MockTransport(self), follow_redirects=True)
        return FalQueueApi("https://queue.fal.run/", key, client)


async def fetch(queue: Queue, trainer: Trainer | None, request_id: str = ID) -> Reading:
    return read_result(request_id, await queue.api().result(request_id, trainer))


async def refused(queue: Queue, request_id: str = ID) -> str:
    with pytest.raises(ResultUnavailable) as caught:
        await fetch(queue, Trainer.PORTRAIT, request_id)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))
    return caught.value.code


@pytest.mark.parametrize(
    ("trainer", "endpoint"),
    [
        (Trainer.PORTRAIT, "fal-ai/flux-lora-portrait-trainer"),
        (None, "fal-ai/flux-lora-portrait-trainer"),
        (Trainer.STYLE, "fal-ai/flux-pro-trainer"),
    ],
)
async def test_request(trainer: Trainer | None, endpoint: str) -> None:
    """The result is asked for at the trainer's endpoint, with the key in the header."""
    queue = Queue(body={"finetune_id": "f1"})
    await queue.api().result(ID, trainer)
    (request,) = queue.requests
    assert str(request.url) == f"https://queue.fal.run/{endpoint}/requests/{ID}"
    assert request.method == "GET"
    assert request.headers["Authorization"] == f"Key {KEY}"
    assert request.headers["Accept-Encoding"] == "identity"


async def test_the_answer_is_handed_on_as_it_came() -> None:
    """Status, headers and bytes are not judged where they are fetched."""
    answer = await Queue(404, b"\xffgone").api().result(ID, None)
    assert (answer.status, answer.headers["location"], answer.body) == (404, "https://evil.example/", b"\xffgone")


async def test_success() -> None:
    """Fault 27: a 2xx body is the payload that the webhook did not bring."""
    payload = {"diffusers_lora_file": {"url": LORA}, "seed": 17454220438242315174}
    reading = await fetch(Queue(body=payload), Trainer.PORTRAIT)
    assert reading.request_id == ID
    assert reading.gateway_request_id is None
    assert reading.outcome == Completed(Artifacts(lora_url=LORA))
    assert json.loads(reading.answer) == {"request_id": ID, "status": "OK", "error": None, "payload": payload}


async def test_success_without_artifact() -> None:
    """A 2xx body without an artifact is completed with nothing in hand."""
    reading = await fetch(Queue(body={"images": []}), None)
    assert reading.outcome == Completed(Artifacts())


async def test_model_error() -> None:
    """A replayed 422 with its list of details is a failed training, not trouble of the queue."""
    detail = [{"loc": ["body"], "msg": "No face found", "type": "face_detection_error", "input": "CANARY"}]
    reading = await fetch(Queue(422, {"detail": detail}), Trainer.PORTRAIT)
    assert reading.outcome == Failed(Cause.NO_FACE, "No face found")
    assert "CANARY" not in reading.answer


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (422, {"detail": "Image archive is broken"}, Failed(Cause.BAD_ARCHIVE, "Image archive is broken")),
        (499, {"detail": "gone", "error_type": "client_cancelled"}, Failed(Cause.CANCELLED, "gone")),
        (500, {"detail": [{"msg": "x", "type": "internal_server_error"}]}, Failed(Cause.FAL_TROUBLE, "x")),
        (400, {"detail": [{"msg": "x", "type": "missing"}]}, Failed(Cause.UNKNOWN, "x")),
        (422, {"detail": []}, Failed(Cause.UNKNOWN, "fal's queue answered 422")),
    ],
)
async def test_other_model_errors(status: int, body: object, expected: Failed) -> None:
    """Whatever speaks about the training and not about the queue is a failed training."""
    assert (await fetch(Queue(status, body), None)).outcome == expected


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, {"detail": "Not found"}, "result_gone"),
        (410, b"", "result_gone"),
        (401, {"detail": "Invalid key"}, "fal_key_refused"),
        (403, {"detail": "User is locked. Reason: Exhausted balance."}, "fal_key_refused"),
        (429, {"detail": "slow down"}, "fal_down"),
        (408, b"", "fal_down"),
        (500, {"detail": "oops", "error_type": "internal_error"}, "fal_down"),
        (502, b"<html>", "fal_down"),
        (503, {"detail": "no runner", "error_type": "runner_scheduling_failure"}, "fal_down"),
        (504, b"", "fal_down"),
        (202, {"status": "IN_PROGRESS"}, "not_ready"),
        (202, b"", "not_ready"),
        (200, {"status": "IN_QUEUE", "queue_position": 0}, "not_ready"),
        (200, {"status": "IN_PROGRESS", "logs": None}, "not_ready"),
        (400, {"detail": "Request is still in progress"}, "not_ready"),
        (400, {"detail": "Bad request"}, "result_unreadable"),
        (405, b"", "result_unreadable"),
        (302, b"", "result_unreadable"),
        (301, {"detail": [{"msg": "x", "type": "y"}]}, "result_unreadable"),
        (422, b"<html>", "result_unreadable"),
        (200, b"<html>", "result_unreadable"),
        (200, b"", "result_unreadable"),
        (200, b"null", "result_unreadable"),
        (200, b'"' + b"x" * BODY_LIMIT + b'"', "result_unreadable"),
        (200, httpx2.ReadTimeout("https://queue.fal.run CANARY"), "fal_down"),
        (200, httpx2.ConnectError("CANARY"), "fal_down"),
        (200, httpx2.RemoteProtocolError("CANARY"), "fal_down"),
    ],
    ids=lambda value: repr(value)[:50],
)
async def test_no_result(status: int, body: object, code: str) -> None:
    """Fault 28: every way not to give a result has a stable reason; redirects are not followed, no secret is told."""
    queue = Queue(status, body)
    assert await refused(queue) == code
    assert len(queue.requests) == 1


async def test_no_key() -> None:
    """Without a key nothing is asked, and the reason says what to set."""
    queue = Queue()
    for key in (None, ""):
        with pytest.raises(ResultUnavailable, match="FAL_API_KEY") as caught:
            await queue.api(key).result(ID, None)
        assert caught.value.code == "no_fal_key"
    assert queue.requests == []


async def test_unsendable_key() -> None:
    """A key that cannot be sent is trouble with a reason, and does not show up in it."""
    api = Queue().api("CANARY-ключ")
    with pytest.raises(ResultUnavailable) as caught:
        await api.result(ID, None)
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("request_id", "path"),
    [
        ("../../admin", b"..%2F..%2Fadmin"),
        ("a?x=1#y", b"a%3Fx%3D1%23y"),
        ("a b\n\0", b"a%20b%0A%00"),
        ("é\ud800", b"%C3%A9%3F"),
        ("%2e%2e", b"%252e%252e"),
    ],
)
async def test_hostile_request_id(request_id: str, path: bytes) -> None:
    """A request id never leaves its place in the path."""
    queue = Queue(404)
    assert await refused(queue, request_id) == "result_gone"
    assert queue.requests[0].url.raw_path == b"/fal-ai/flux-lora-portrait-trainer/requests/" + path


@pytest.mark.parametrize("request_id", ["", ".", ".."])
async def test_request_id_of_dots(request_id: str) -> None:
    """A request id that would climb the path is never asked for."""
    queue = Queue()
    assert await refused(queue, request_id) == "result_gone"
    assert queue.requests == []


async def test_unfit_request_id() -> None:
    """A result for an id that no delivery could have is unreadable rather than a crash."""
    assert await refused(Queue(200, {}), "a" * 300) == "result_unreadable"


def test_key_is_not_shown() -> None:
    """The key is not in the object's representation."""
    show: Callable[[object], str] = repr
    assert "CANARY" not in show(Queue().api())
