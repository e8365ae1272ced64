"""fal's queue and list of requests are asked as docs/fal.md says, and our key goes nowhere else."""

import json
from collections.abc import Awaitable, Callable

import pytest

from app.domain.look import Trouble, Unsaid
from app.fal.api import BODY_LIMIT, DEADLINE_SECONDS, FalQueueApi
from app.fal.payload import FalAnswer
from app.flows.ports import FalQueue
from app.http_client.failures import HttpFailed
from tests.fakes import START
from tests.http_fake import Asked, Given, http_of

pytestmark = pytest.mark.anyio

ID = "019a83c2-7c4a-7b8e-9a51-0c6c2f8f2b11"
KEY = "key-id:CANARY-fal-key"
PORTRAIT = "fal-ai/flux-lora-portrait-trainer"
APP = f"https://queue.fal.run/{PORTRAIT}/requests"


class Fal:
    """Answers every request alike and remembers them."""

    def __init__(self, status: int = 200, body: object = None) -> None:
        self.status = status
        self.body = body
        self.requests: list[Asked] = []
        self.heard: list[tuple[str, FalAnswer | Unsaid]] = []

    def __call__(self, request: Asked) -> Given:
        self.requests.append(request)
        if isinstance(self.body, Exception):
            raise self.body
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        headers = {"Location": "https://evil.example/", "X-Echo": f"Key {KEY}"}
        return Given(self.status, content=content, headers=headers)

    def api(self, key: str | None = KEY) -> FalQueue:
        client = http_of(self)
        return FalQueueApi(
            "https://queue.fal.run",
            "https://api.fal.ai",
            key,
            client,
            lambda: START,
            lambda asked, said: self.heard.append((asked, said)),
        )

    @property
    def asked(self) -> list[str]:
        return [str(request.url) for request in self.requests]


Question = Callable[[FalQueue, str, str], Awaitable[FalAnswer | Unsaid]]
QUESTIONS: dict[str, Question] = {
    "status": lambda api, endpoint, request_id: api.status(endpoint, request_id),
    "result": lambda api, endpoint, request_id: api.result(endpoint, request_id),
    "listed": lambda api, endpoint, request_id: api.listed(endpoint, request_id),
}
every_question = pytest.mark.parametrize("ask", QUESTIONS.values(), ids=QUESTIONS)


async def test_state_and_result_are_asked_for_without_the_sub_path_and_without_logs() -> None:
    """One GET each, at owner and app, with the key in the header."""
    fal = Fal()
    await fal.api().status("fal-ai/kling-video/v2/master", ID)
    await fal.api().result("workflows/me/mine/run", ID)
    assert fal.asked == [
        f"https://queue.fal.run/fal-ai/kling-video/requests/{ID}/status",
        f"https://queue.fal.run/workflows/me/mine/requests/{ID}",
    ]
    assert [asked for asked, _ in fal.heard] == ["status", "result"]
    for request in fal.requests:
        assert request.method == "GET"
        assert request.headers["Authorization"] == f"Key {KEY}"


async def test_the_list_is_asked_for_one_request_of_the_last_thirty_days() -> None:
    """The whole endpoint is named, and what was given comes with the entry."""
    fal = Fal()
    await fal.api().listed("fal-ai/flux-2-trainer/edit", ID)
    (request,) = fal.requests
    assert str(request.url.with_query(None)) == "https://api.fal.ai/v1/models/requests/by-endpoint"
    assert dict(request.url.query) == {
        "endpoint_id": "fal-ai/flux-2-trainer/edit",
        "request_id": ID,
        "expand": "payloads",
        "start": "2026-10-23T12:00:00Z",
    }
    assert request.headers["Authorization"] == f"Key {KEY}"


async def test_fal_s_own_addresses_are_used() -> None:
    """An address that fal gave with its answer to the submission is asked instead of one made up."""
    fal = Fal()
    given = f"https://queue.fal.run/fal-ai/other/requests/{ID}"
    await fal.api().status(PORTRAIT, ID, f"{given}/status")
    await fal.api().result(PORTRAIT, ID, f"{given}/response")
    assert fal.asked == [f"{given}/status", f"{given}/response"]


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example/fal-ai/x/requests/{ID}",
        f"http://queue.fal.run/fal-ai/x/requests/{ID}",
        f"https://queue.fal.run:444/fal-ai/x/requests/{ID}",
        f"https://queue.fal.run.evil.example/fal-ai/x/requests/{ID}",
        f"https://queue.fal.run@evil.example/fal-ai/x/requests/{ID}",
        f"https://me:secret@queue.fal.run/fal-ai/x/requests/{ID}",
        f"https://evil.example\\@queue.fal.run/fal-ai/x/requests/{ID}",
        "https://queue.fal.run/fal-ai/x/requests/another-job",
        f"https://queue.fal.run/fal-ai/x/requests/another-job?id={ID}",
        "",
    ],
)
async def test_the_key_does_not_travel_with_an_address_that_is_not_fal_s(url: str) -> None:
    """An address of another origin, or of another request, is not asked: the one we make ourselves is."""
    fal = Fal()
    await fal.api().status(PORTRAIT, ID, url)
    await fal.api().result(PORTRAIT, ID, url)
    assert fal.asked == [f"{APP}/{ID}/status", f"{APP}/{ID}"]


@every_question
@pytest.mark.parametrize("status", [200, 302, 404, 500])
async def test_an_answer_is_handed_on_as_it_came(status: int, ask: Question) -> None:
    """Status, headers and bytes are not judged where they are fetched, and a redirect is not followed."""
    fal = Fal(status, b"\xffodd")
    answer = await ask(fal.api(), PORTRAIT, ID)
    assert isinstance(answer, FalAnswer)
    assert (answer.status, answer.headers["location"], answer.body) == (status, "https://evil.example/", b"\xffodd")
    assert len(fal.requests) == 1


@every_question
async def test_our_key_is_in_no_answer(ask: Question) -> None:
    """A service that echoes the header it refuses does not make us keep our key."""
    body = json.dumps({"detail": f"refused: Key {KEY}", "secret": "CANARY-fal-key"}).encode()
    answer = await ask(Fal(401, body).api(), PORTRAIT, ID)
    assert isinstance(answer, FalAnswer)
    assert json.loads(answer.body) == {"detail": "refused: Key [key]", "secret": "[key]"}
    assert answer.headers["x-echo"] == "Key [key]"


@every_question
@pytest.mark.parametrize(
    ("body", "trouble"),
    [
        (HttpFailed("ReadTimeout", has_left=True), Trouble.FAL_DOWN),
        (HttpFailed("ConnectError"), Trouble.FAL_DOWN),
        (HttpFailed("RemoteProtocolError", has_left=True), Trouble.FAL_DOWN),
        (b'"' + b"x" * BODY_LIMIT + b'"', Trouble.FAL_ODD),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_no_answer_is_a_value_with_a_reason(body: object, trouble: Trouble, ask: Question) -> None:
    """Fault 28: an outage is fal's, an answer beyond all measure is odd; neither tells a secret."""
    said = await ask(Fal(200, body).api(), PORTRAIT, ID)
    assert isinstance(said, Unsaid)
    assert said.trouble is trouble
    assert "CANARY" not in said.detail


@every_question
async def test_without_a_key_nothing_is_asked(ask: Question) -> None:
    """The reason says what to set."""
    fal = Fal()
    for key in (None, ""):
        said = await ask(fal.api(key), PORTRAIT, ID)
        assert isinstance(said, Unsaid)
        assert (said.trouble, "FAL_API_KEY" in said.detail) == (Trouble.NO_FAL_KEY, True)
    assert fal.requests == []


@every_question
async def test_a_key_that_cannot_be_sent_is_not_told(ask: Question) -> None:
    """A key outside ASCII is trouble with a reason, and does not show up in it."""
    said = await ask(Fal().api("CANARY-ключ"), PORTRAIT, ID)
    assert isinstance(said, Unsaid)
    assert "CANARY" not in said.detail


@every_question
@pytest.mark.parametrize(
    ("endpoint", "request_id"),
    [(PORTRAIT, ""), (PORTRAIT, "."), (PORTRAIT, ".."), (PORTRAIT, "a" * 300), ("fal-ai/..", ID), ("fal-ai", ID)],
)
async def test_what_cannot_be_fal_s_is_not_asked_for(endpoint: str, request_id: str, ask: Question) -> None:
    """An id or endpoint that would climb the path is odd, and asked for nowhere."""
    fal = Fal()
    said = await ask(fal.api(), endpoint, request_id)
    assert isinstance(said, Unsaid)
    assert said.trouble is Trouble.FAL_ODD
    assert fal.requests == []


@pytest.mark.parametrize(
    ("request_id", "path"),
    [
        ("../../admin", "..%2F..%2Fadmin"),
        ("a?x=1#y", "a%3Fx=1%23y"),
        ("a b\n\0", "a%20b%0A%00"),
        ("é\ud800", "%C3%A9%3F"),
        ("%2e%2e", "%252e%252e"),
    ],
)
async def test_a_hostile_request_id_never_leaves_its_place_in_the_path(request_id: str, path: str) -> None:
    """What an id spells is sent as one segment."""
    fal = Fal(404)
    await fal.api().result(PORTRAIT, request_id)
    assert fal.requests[0].url.raw_path == f"/{PORTRAIT}/requests/{path}"


async def test_an_answer_has_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question has a deadline of its own: a fal that drips bytes holds nothing up."""
    given: list[object] = []

    async def get_capped(*arguments: object, **_: object) -> tuple[int, bytes]:
        given.append(arguments[-1])
        return 200, b"{}"

    monkeypatch.setattr("app.fal.api.get_capped", get_capped)
    for ask in QUESTIONS.values():
        await ask(Fal().api(), PORTRAIT, ID)
    assert given == [DEADLINE_SECONDS] * 3
    assert DEADLINE_SECONDS == 10


def test_the_key_is_not_shown() -> None:
    """The key is not in the object's representation."""
    show: Callable[[object], str] = repr
    assert "CANARY" not in show(Fal().api())
