"""The end of a request in the webhook's form."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.notification import Cause
from app.domain.training import Artifacts, Completed, Failed
from app.fal.payload import read
from app.fal.result_body import DEPTH_LIMIT, failure, gone, success

TIMES = ("timings", "metrics", "inference_time", "logs", "started_at", "sent_at", "ended_at")
TEXT = st.text(st.sampled_from('ab"к\0\U0001f600'), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
PAYLOADS = st.dictionaries(TEXT, JSON, max_size=4)


def shuffled(value: Any, draw: st.DataObject) -> Any:
    """The same value with the keys of its objects in another order."""
    if isinstance(value, dict):
        names = draw.draw(st.permutations(list(value)))
        return {name: shuffled(value[name], draw) for name in names}
    return [shuffled(entry, draw) for entry in value] if isinstance(value, list) else value


@given(PAYLOADS, st.data())
def test_the_order_of_keys_does_not_matter(payload: dict[str, Any], draw: st.DataObject) -> None:
    """Two looks at one result give the same bytes, so they are one delivery."""
    assert success("r1", payload) == success("r1", shuffled(payload, draw))
    assert failure("r1", payload, 422) == failure("r1", shuffled(payload, draw), 422)


@given(PAYLOADS, st.sampled_from(TIMES), JSON)
def test_times_do_not_matter(payload: dict[str, Any], name: str, value: Any) -> None:
    """What is measured differs between two looks and is left out, at any depth."""
    bare = {key: entry for key, entry in payload.items() if key not in TIMES}
    assert success("r1", {**bare, name: value, "file": {"url": "u", name: value}}) == success(
        "r1", {**bare, "file": {"url": "u"}}
    )


@given(PAYLOADS)
def test_a_success_is_read_as_a_webhook_s(payload: dict[str, Any]) -> None:
    """The reader of deliveries takes the body for a success of this request."""
    reading = read(success("r1", payload))
    assert (reading.request_id, type(reading.outcome)) == ("r1", Completed)


def test_the_form_is_the_webhook_s() -> None:
    """The same fields as a delivery, with an artifact that is found."""
    body = success("r1", {"diffusers_lora_file": {"url": "https://v3.fal.media/lora"}, "seed": 17454220438242315174})
    assert body == (
        b'{"error":null,"payload":{"diffusers_lora_file":{"url":"https://v3.fal.media/lora"},'
        b'"seed":17454220438242315174},"request_id":"r1","status":"OK"}'
    )
    assert read(body).outcome == Completed(Artifacts(lora_url="https://v3.fal.media/lora"))


def test_a_failure_keeps_its_status_and_its_cause() -> None:
    """The HTTP status stands where a webhook has it, and the error type decides the cause."""
    body = failure("r1", {"detail": [{"type": "face_detection_error", "msg": "no face"}]}, 422)
    assert json.loads(body)["error"] == "Invalid status code: 422"
    assert read(body).outcome == Failed(Cause.NO_FACE, "no face")


def test_a_gone_result_has_a_cause_of_its_own() -> None:
    """The owner hears that it was not their photos; the bytes are the same whenever they are written."""
    outcome = read(gone("r1")).outcome
    assert outcome == Failed(Cause.RESULT_GONE, "fal has no result of this request any more")
    assert gone("r1") == gone("r1")
    assert orjson.loads(gone("r1"))["payload"]["detail"][0]["type"] == "result_gone"


def test_what_is_too_deep_is_refused_rather_than_cut() -> None:
    """Levels beyond any answer of fal's are an error that the reader of answers knows."""
    deep: Any = {}
    for _ in range(DEPTH_LIMIT):
        deep = {"a": deep}
    with pytest.raises(ValueError, match="deeper"):
        success("r1", deep)
    assert success("r1", deep["a"])


def test_a_key_in_the_payload_is_not_kept() -> None:
    """Nobody's `Key id:secret` gets into the inbox with a fetched result."""
    assert b"def" not in failure("r1", {"detail": "refused Key abc:def", "Key abc:def": 1}, 422)
