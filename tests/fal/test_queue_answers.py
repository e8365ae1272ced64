"""What fal's answers about a job mean: the cases of docs/fal.md, and anything else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.look import (
    AtEnd,
    AtWork,
    Broken,
    Queued,
    Result,
    ResultSaid,
    StatusSaid,
    Trouble,
    Unknown,
    Unsaid,
)
from app.domain.notification import Cause
from app.domain.training import Artifacts, Completed, Failed
from app.fal.payload import FalAnswer, read
from app.fal.queue_answers import POSITION_LIMIT, WORDS_LIMIT, read_listed, read_result, read_status

ID = "019a83c2-7c4a-7b8e-9a51-0c6c2f8f2b11"
LORA = "https://v3b.fal.media/files/b/panda/lora.safetensors"
OUTPUT = {"diffusers_lora_file": {"url": LORA}, "config_file": {"url": f"{LORA}.json"}}
URLS = dict.fromkeys(("status_url", "response_url", "cancel_url"), f"https://queue.fal.run/fal-ai/x/requests/{ID}")
UNFINISHED = {"detail": "Request is still in progress", "request_id": ID, **URLS}
LOCKED = {"detail": "User is locked. Reason: Exhausted balance. Top up your balance at https://fal.ai/billing."}
NO_FACE = {"detail": [{"loc": ["body"], "msg": "No face found", "type": "face_detection_error", "input": "CANARY"}]}


def answer(status: int, body: object = None, **headers: str) -> FalAnswer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return FalAnswer(status, {name.replace("_", "-"): value for name, value in headers.items()}, content)


def trouble_of(said: StatusSaid | ResultSaid) -> Trouble:
    assert isinstance(said, Unsaid), said
    return said.trouble


def entry(**fields: Any) -> dict[str, Any]:
    times = {"started_at": "2026-11-29T10:00:00Z", "sent_at": "2026-11-29T10:00:01Z", "duration": 7.58}
    ended = {"request_id": ID, "ended_at": "2026-11-29T10:05:00Z", "status_code": 200, "json_output": OUTPUT}
    return {**times, **ended, **fields}


def listed(*items: object, **more: Any) -> FalAnswer:
    return answer(200, {"items": items, "next_cursor": None, "has_more": False, **more})


REFUSALS: list[tuple[int, object, Trouble]] = [
    (401, {"detail": "invalid key credentials"}, Trouble.FAL_KEY_REFUSED),
    (401, b"", Trouble.FAL_KEY_REFUSED),
    (401, NO_FACE, Trouble.FAL_KEY_REFUSED),
    (403, LOCKED, Trouble.ACCOUNT_LOCKED),
    (403, {"detail": "User is locked. Reason: Admin lock."}, Trouble.ACCOUNT_LOCKED),
    (403, {"detail": "User is locked. Reason: TOP_UP"}, Trouble.ACCOUNT_LOCKED),
    (403, {"error": {"type": "authorization_error", "message": "User is locked."}}, Trouble.ACCOUNT_LOCKED),
    (403, {"detail": "Cannot access application"}, Trouble.FAL_KEY_REFUSED),
    (403, b"<html>", Trouble.FAL_KEY_REFUSED),
    (429, {"detail": "slow down"}, Trouble.RATE_LIMITED),
    (429, {"error": {"type": "rate_limited", "message": "Too many requests"}}, Trouble.RATE_LIMITED),
    (408, b"", Trouble.RATE_LIMITED),
    (500, b"Internal Server Error", Trouble.FAL_DOWN),
    (502, b"<html><center>nginx</center></html>", Trouble.FAL_DOWN),
    (503, {"detail": "try again"}, Trouble.FAL_DOWN),
    (504, b"", Trouble.FAL_DOWN),
    (301, b"", Trouble.FAL_ODD),
    (302, {"status": "COMPLETED"}, Trouble.FAL_ODD),
    (405, {"detail": "Method Not Allowed"}, Trouble.FAL_ODD),
    (400, {"detail": "Bad request"}, Trouble.FAL_ODD),
    (418, b"\xff", Trouble.FAL_ODD),
]


@pytest.mark.parametrize(("status", "body", "trouble"), REFUSALS, ids=lambda value: repr(value)[:40])
def test_what_is_not_about_the_job_says_nothing_of_it(status: int, body: object, trouble: Trouble) -> None:
    """Our key, our account, limits, outages and proxies never fail a training, whatever was asked (fault 28)."""
    answered = answer(status, body)
    assert trouble_of(read_status(answered)) is trouble
    assert trouble_of(read_result(ID, answered)) is trouble
    assert trouble_of(read_listed(ID, answered)) is trouble


def test_what_was_not_asked_is_handed_on() -> None:
    """A look without an answer says what the question came to."""
    unsaid = Unsaid(Trouble.NO_FAL_KEY, "no key")
    assert read_status(unsaid) is unsaid
    assert read_result(ID, unsaid) is unsaid
    assert read_listed(ID, unsaid) is unsaid


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (202, {"status": "IN_QUEUE", "queue_position": 0, "request_id": ID, **URLS}, Queued(0)),
        (202, {"status": "IN_QUEUE", "queue_position": 8421}, Queued(8421)),
        (200, {"status": "IN_QUEUE"}, Queued(None)),
        (200, {"status": "IN_QUEUE", "queue_position": "3"}, Queued(None)),
        (200, {"status": "IN_QUEUE", "queue_position": -1}, Queued(None)),
        (200, {"status": "IN_QUEUE", "queue_position": True}, Queued(None)),
        (200, {"status": "IN_QUEUE", "queue_position": POSITION_LIMIT + 1}, Queued(None)),
        (202, {"status": "IN_PROGRESS", "logs": None, **URLS}, AtWork()),
        (200, {"status": "COMPLETED", "logs": None, "metrics": {"inference_time": 7.58}}, AtEnd()),
        (202, {"status": "COMPLETED"}, AtEnd()),
        (200, {"status": "COMPLETED", "error": "gone wrong", "error_type": "internal_error"}, AtEnd()),
        (404, {"status": "NOT_FOUND"}, Unknown()),
        (404, {"detail": "Request not found"}, Unknown()),
        (404, b"", Unknown()),
        (410, b"", Unknown()),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_state(status: int, body: object, expected: StatusSaid) -> None:
    """The three words of the queue, and that it does not know the request; an error changes nothing about COMPLETED."""
    assert read_status(answer(status, body)) == expected


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"null"),
        (200, []),
        (200, {}),
        (200, {"status": None}),
        (200, {"status": "FAILED"}),
        (200, {"status": "CANCELLED"}),
        (200, {"status": "completed"}),
        (200, {"status": ["COMPLETED"]}),
        (200, OUTPUT),
        (404, {"detail": "Path /quality not found"}),
        (422, NO_FACE),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_odd_state(status: int, body: object) -> None:
    """Words that the queue does not have are odd: they are counted, not waited for in silence."""
    assert trouble_of(read_status(answer(status, body))) is Trouble.FAL_ODD


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, UNFINISHED),
        (422, UNFINISHED),
        (404, UNFINISHED),
        (500, UNFINISHED),
        (200, UNFINISHED),
        (400, {"detail": "still In Progress"}),
        (202, {"status": "IN_PROGRESS"}),
        (202, b""),
        (202, UNFINISHED),
        (200, {"status": "IN_QUEUE", "queue_position": 0}),
        (200, {"status": "IN_PROGRESS", "logs": None}),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_result_before_the_end(status: int, body: object) -> None:
    """The words decide, not the status: 400 was seen, and clients were written against other ones."""
    assert read_result(ID, answer(status, body)) == AtWork()


def test_a_success() -> None:
    """A 2xx object is the payload of a webhook (fault 27)."""
    said = read_result(ID, answer(200, {**OUTPUT, "seed": 17454220438242315174}))
    assert isinstance(said, Result)
    reading = read(said.body)
    assert (reading.request_id, reading.outcome) == (
        ID,
        Completed(Artifacts(lora_url=LORA, config_url=f"{LORA}.json")),
    )
    assert b"17454220438242315174" in said.body


def test_a_huge_number_survives() -> None:
    """A number beyond 64 bits is kept digit for digit."""
    said = read_result(ID, answer(200, b'{"seed": 123456789012345678901234567890, "images": []}'))
    assert isinstance(said, Result)
    assert json.loads(said.body)["payload"]["seed"] == "123456789012345678901234567890"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (422, NO_FACE, Failed(Cause.NO_FACE, "No face found")),
        (422, {"detail": [{"type": "file_download_error", "msg": "no"}]}, Failed(Cause.DOWNLOAD, "no")),
        (422, {"detail": "Image archive is broken"}, Failed(Cause.BAD_ARCHIVE, "Image archive is broken")),
        (422, {"detail": []}, Failed(Cause.UNKNOWN, "Invalid status code: 422")),
        (422, {"message": "no"}, Failed(Cause.UNKNOWN, "Invalid status code: 422")),
        (499, {"detail": "gone", "error_type": "client_cancelled"}, Failed(Cause.CANCELLED, "gone")),
        (400, {"detail": [{"msg": "x", "type": "missing"}]}, Failed(Cause.UNKNOWN, "x")),
        (400, {"detail": "x", "error_type": "bad_request"}, Failed(Cause.UNKNOWN, "x")),
        (404, {"detail": [{"msg": "x", "type": "image_load_error"}]}, Failed(Cause.BAD_IMAGE, "x")),
        (405, {"detail": [{"msg": "x", "type": "y"}]}, Failed(Cause.UNKNOWN, "x")),
        (500, {"detail": [{"msg": "x", "type": "internal_server_error"}]}, Failed(Cause.FAL_TROUBLE, "x")),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_model_s_failure(status: int, body: object, expected: Failed) -> None:
    """What speaks about the training and not about the queue is a failed training, in the webhook's form."""
    said = read_result(ID, answer(status, body))
    assert isinstance(said, Result)
    assert read(said.body).outcome == expected
    assert json.loads(said.body)["error"] == f"Invalid status code: {status}"


@pytest.mark.parametrize(
    ("answered", "cause"),
    [
        (answer(504, {"detail": "slow", "error_type": "request_timeout"}), Cause.TIMEOUT),
        (answer(503, {"detail": "no runner", "error_type": "runner_scheduling_failure"}), Cause.FAL_TROUBLE),
        (answer(504, {"detail": "slow"}, x_fal_error_type="startup_timeout"), Cause.TIMEOUT),
        (answer(504, b"", x_fal_error_type="request_timeout"), Cause.TIMEOUT),
    ],
)
def test_a_broken_result(answered: FalAnswer, cause: Cause) -> None:
    """A 5xx with an error type is the model's answer or fal's trouble: asked again first, with the type inside."""
    said = read_result(ID, answered)
    assert isinstance(said, Broken)
    outcome = read(said.body).outcome
    assert isinstance(outcome, Failed)
    assert outcome.cause is cause


def test_a_header_that_is_no_word_names_no_error() -> None:
    """What a proxy writes into a header does not become an error of the model."""
    assert trouble_of(read_result(ID, answer(503, b"", x_fal_error_type="<b>"))) is Trouble.FAL_DOWN


@pytest.mark.parametrize(
    ("status", "body"),
    [(404, {"detail": "Request not found"}), (404, b"<html>"), (404, {"status": "NOT_FOUND"}), (410, b"")],
)
def test_an_unknown_result(status: int, body: object) -> None:
    """Unknown there, or no longer; the two look alike."""
    assert read_result(ID, answer(status, body)) == Unknown()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (200, b"null"),
        (200, b'"text"'),
        (200, []),
        (200, {}),
        (200, {"status": "COMPLETED", "metrics": {}, **URLS}),
        (200, b'{"images": ' + b"[" * 300 + b"]" * 300 + b"}"),
        (200, b'{"images": ["\\ud800"]}'),
        (404, {"detail": "Path /quality not found"}),
        (422, b"<html>"),
        (422, b"null"),
        (499, b""),
        (301, NO_FACE),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_an_odd_result(status: int, body: object) -> None:
    """Empty and odd JSON is neither a success nor a failure, and does not go round for ever in silence."""
    assert trouble_of(read_result(ID, answer(status, body))) is Trouble.FAL_ODD


@pytest.mark.parametrize("request_id", ["", " ", "a" * 300, "a\nb"])
def test_an_id_that_no_delivery_could_have(request_id: str) -> None:
    """What could not be read again from the inbox is not put into it."""
    assert trouble_of(read_result(request_id, answer(200, OUTPUT))) is Trouble.FAL_ODD


def test_a_listed_success_is_the_same_delivery_as_a_fetched_one() -> None:
    """Whether fal's queue or its list told, the bytes are the same."""
    told = read_listed(ID, listed(entry(request_id="another"), entry()))
    assert told == read_result(ID, answer(200, {**OUTPUT, "timings": {"inference": 7.58}}))
    assert isinstance(told, Result)


def test_a_listed_failure_is_the_same_delivery_as_a_fetched_one() -> None:
    """The status code of the entry is the status of the result."""
    told = read_listed(ID, listed(entry(status_code=422, json_output=NO_FACE)))
    assert told == read_result(ID, answer(422, NO_FACE))
    assert isinstance(told, Result)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], Unknown()),
        ([entry(request_id="another")], Unknown()),
        ([None, [], "x", {}], Unknown()),
        ([entry(ended_at=None, status_code=None, json_output=None)], AtWork()),
        ([entry(status_code=500), entry(ended_at=None, status_code=None)], AtWork()),
    ],
)
def test_a_listed_request_without_an_end(items: list[object], expected: ResultSaid) -> None:
    """A request that has not ended is at work; one that is not in the list is unknown."""
    assert read_listed(ID, listed(*items)) == expected


@pytest.mark.parametrize(
    ("items", "outcome"),
    [
        ([entry(status_code=401, json_output=LOCKED)], Failed(Cause.OUR_ACCOUNT, LOCKED["detail"][:50])),
        ([entry(status_code=404, json_output=None)], Failed(Cause.UNKNOWN, "Invalid status code: 404")),
        (
            [
                entry(status_code=500, json_output=None, ended_at="2026-11-29T10:01:00Z"),
                entry(status_code=422, json_output=NO_FACE, ended_at="2026-11-29T10:02:00Z"),
                entry(status_code=500, json_output=None, ended_at=None),
            ],
            Failed(Cause.NO_FACE, "No face found"),
        ),
    ],
)
def test_a_listed_end_is_final_whatever_its_status(items: list[object], outcome: Failed) -> None:
    """Of several tries the last counts; in the list a status is the request's, never our key's."""
    told = read_listed(ID, listed(*items))
    assert isinstance(told, Result)
    read_outcome = read(told.body).outcome
    assert isinstance(read_outcome, Failed)
    assert (read_outcome.cause, read_outcome.detail[:50]) == (outcome.cause, outcome.detail)


def test_a_listed_success_beats_the_tries_before_it() -> None:
    """fal tries again by itself; pages shift, so an entry may come twice."""
    told = read_listed(ID, listed(entry(status_code=503), entry(), entry()))
    assert told == read_listed(ID, listed(entry()))


def test_a_listed_5xx_is_broken() -> None:
    """Of an ended request a 5xx is its end as far as the list knows."""
    told = read_listed(ID, listed(entry(status_code=504, json_output={"error_type": "request_timeout"})))
    assert isinstance(told, Broken)
    assert read(told.body).outcome == Failed(Cause.TIMEOUT, "Invalid status code: 504")


@pytest.mark.parametrize(
    "answered",
    [
        listed(entry(json_output=None)),
        listed(entry(json_output={})),
        listed(entry(json_output="text")),
        listed(entry(json_output=None), entry(status_code=500)),
        listed(entry(status_code="200")),
        listed(entry(status_code=True)),
        listed(entry(status_code=302)),
        listed(entry(status_code=None)),
        listed(has_more=True),
        listed(entry(request_id="another"), has_more=True),
        answer(200, {"items": None}),
        answer(200, []),
        answer(404, {"error": {"type": "not_found", "message": "no such endpoint"}}),
    ],
)
def test_an_odd_list(answered: FalAnswer) -> None:
    """A list that does not say how the request ended is no proof that its result is gone."""
    assert trouble_of(read_listed(ID, answered)) is Trouble.FAL_ODD


def test_the_operator_reads_fal_s_words() -> None:
    """The reason of a lock is shown, short and without addresses."""
    said = read_result(ID, answer(403, LOCKED))
    assert said == Unsaid(
        Trouble.ACCOUNT_LOCKED,
        "fal answered 403: User is locked. Reason: Exhausted balance. Top up your balance at [url]",
    )
    long = read_status(answer(401, {"detail": "x" * 5000}))
    assert isinstance(long, Unsaid)
    assert len(long.detail) <= WORDS_LIMIT + 20
    assert read_status(answer(502, b"<html>")) == Unsaid(Trouble.FAL_DOWN, "fal answered 502")


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 422, 500, 503])
def test_no_key_is_kept(status: int) -> None:
    """An answer that repeats a key leaves it in no detail and in no body."""
    answered = answer(status, {"detail": "invalid Key id-1:CANARY-secret", "error_type": "internal_error"})
    for said in (read_status(answered), read_result(ID, answered), read_listed(ID, answered)):
        assert "CANARY" not in repr(said)


BODIES = st.one_of(
    st.binary(),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["status", "detail", "error_type", "items", "request_id", "status_code", "json_output"])
                | st.text(),
                inner,
            )
        ),
    ).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([ID, "IN_QUEUE", "COMPLETED"]).map(lambda word: json.dumps({"status": word}).encode()),
)


@given(st.integers(100, 999), BODIES, st.dictionaries(st.just("x-fal-error-type"), st.text()), st.text())
def test_any_answer_is_understood_or_odd(status: int, body: bytes, headers: dict[str, str], request_id: str) -> None:
    """No status and no bytes raise; what is called an end reads as a delivery of this request, a success was JSON."""
    answered = FalAnswer(status, headers, body)
    read_status(answered)
    for said in (read_result(request_id, answered), read_listed(request_id, answered)):
        if isinstance(said, Result | Broken):
            reading = read(said.body)
            assert reading.request_id == request_id
            if isinstance(reading.outcome, Completed):
                json.loads(body)
