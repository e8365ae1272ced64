import json
import re
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import PayloadUnreadable
from app.domain.notification import Cause
from app.domain.training import Artifacts, Completed, Failed, Reading
from app.fal.payload import ANSWER_LIMIT, answer, artifacts, read

ID = "019a83c2-7c4a-7b8e-9a51-0c6c2f8f2b11"
LORA = "https://v3b.fal.media/files/b/panda/lora.safetensors"
CONFIG = "https://v3b.fal.media/files/b/panda/config.json"
TRAINED = {"diffusers_lora_file": {"url": LORA, "file_size": None}, "config_file": {"url": CONFIG}}


def body(**fields: Any) -> bytes:
    base = {"request_id": ID, "gateway_request_id": ID, "status": "OK", "payload": TRAINED, "error": None}
    return json.dumps({**base, **fields}, sort_keys=True).encode()


def unreadable(raw: bytes) -> str:
    with pytest.raises(PayloadUnreadable) as caught:
        read(raw)
    return caught.value.code


def failed(payload: object, **fields: Any) -> Failed:
    outcome = read(body(status="ERROR", payload=payload, **fields)).outcome
    assert isinstance(outcome, Failed)
    return outcome


def test_success() -> None:
    """Shape 1: OK with a payload is completed with its files, `error: null` and unknown fields included."""
    reading = read(body(surprise={"a": [1]}))
    assert reading.request_id == ID
    assert reading.gateway_request_id == ID
    assert reading.outcome == Completed(Artifacts(lora_url=LORA, config_url=CONFIG))
    assert json.loads(reading.answer) == json.loads(body(surprise={"a": [1]}))


def test_gateway_id_differs() -> None:
    """The gateway's id of an internal retry is kept apart from the request id."""
    assert read(body(gateway_request_id="other")).gateway_request_id == "other"
    assert read(body(gateway_request_id=None)).gateway_request_id is None
    assert read(body(gateway_request_id=7)).gateway_request_id is None


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ({"finetune_id": "b7e8"}, Artifacts(finetune_id="b7e8")),
        ({"lora_file": {"url": LORA}}, Artifacts(lora_url=LORA)),
        (
            {"diffusers_lora_file": {"url": LORA}, "high_noise_lora": {"url": CONFIG}},
            Artifacts(lora_url=LORA, high_noise_lora_url=CONFIG),
        ),
        ({"diffusers_lora_file": {"url": "ftp://x"}, "lora_file": {"url": LORA}}, Artifacts(lora_url=LORA)),
        ({"config_file": {"url": CONFIG}}, Artifacts(config_url=CONFIG)),
    ],
)
def test_shapes_of_trainers(payload: object, expected: Artifacts) -> None:
    """Each known trainer's way to name its files or its finetune is understood."""
    assert artifacts(payload) == expected


NO_URL: list[object] = [
    None,
    5,
    "",
    [],
    {},
    "http://v3.fal.media/x",
    "HTTPS//v3.fal.media/x",
    "//v3.fal.media/x",
    "https://",
    "https:///path",
    "https://?x=1",
    "https://[::1",
    "https://v3.fal.media/a b",
    "https://v3.fal.media/a\nb",
    "https://v3.fal.media/\x00",
    "https://v3.fal.media/\u202egnp",
    " https://v3.fal.media/x",
    "javascript:alert(1)",
    "data:application/octet-stream;base64,AAAA",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("url", NO_URL, ids=repr)
def test_no_artifact_from_a_bad_url(url: object) -> None:
    """Only an https URL with a host and nothing unprintable is an artifact; nothing is invented from the rest."""
    assert artifacts({"diffusers_lora_file": {"url": url}, "config_file": {"url": url}}) == Artifacts()


@pytest.mark.parametrize("payload", [None, 5, "x", [TRAINED], {}, {"finetune_id": ""}, {"finetune_id": 7}], ids=repr)
def test_ok_without_artifact(payload: object) -> None:
    """OK without a usable artifact is completed with nothing in hand: the result must be fetched."""
    outcome = read(body(payload=payload)).outcome
    assert outcome == Completed(Artifacts())
    assert isinstance(outcome, Completed)
    assert not outcome.artifacts


@pytest.mark.parametrize("finetune_id", ["  ", "a\0b", "a\nb"])
def test_unfit_finetune_id(finetune_id: str) -> None:
    """A finetune id that no column takes is no artifact."""
    assert not artifacts({"finetune_id": finetune_id})


@pytest.mark.parametrize("file", [None, 5, LORA, [LORA], {"uri": LORA}])
def test_odd_file(file: object) -> None:
    """A file that is not an object with a URL is no artifact."""
    assert not artifacts({"diffusers_lora_file": file})


def test_payload_not_serializable() -> None:
    """Shape 4 (fault 27): OK with a null payload and `payload_error` is a success whose result must be fetched."""
    reading = read(body(payload=None, payload_error="Response payload is not JSON serializable"))
    assert reading.outcome == Completed(Artifacts())


def test_validation_error() -> None:
    """Shape 2: ERROR with a list of details gives the cause by type and fal's words, without what a person sent."""
    detail = [
        {
            "loc": ["body", "images_data_url"],
            "msg": "Could not find a face in SECRET-INPUT, see https://docs.fal.ai/errors#face_detection_error",
            "type": "face_detection_error",
            "url": "https://docs.fal.ai/errors",
            "ctx": {"hint": "SECRET-CTX"},
            "input": "SECRET-INPUT",
        },
        {"msg": "Field required", "type": "missing", "input": {"prompt": "SECRET-INPUT"}},
    ]
    reading = read(body(status="ERROR", error="Invalid status code: 422", payload={"detail": detail}))
    assert reading.outcome == Failed(Cause.NO_FACE, "Could not find a face in …, see [url]; Field required")
    assert "input" not in json.loads(reading.answer)["payload"]["detail"][0]
    assert "images_data_url" in reading.answer


def test_infrastructure_error() -> None:
    """Shape 3: ERROR with a sentence and an error type gives both."""
    outcome = failed({"detail": "Request timed out", "error_type": "request_timeout"})
    assert outcome == Failed(Cause.TIMEOUT, "Request timed out")


def test_error_without_payload() -> None:
    """Shape 5: ERROR with nothing but `error` and `payload_error` is a failure in those words."""
    outcome = failed(None, error="Invalid status code: 404", payload_error="Response payload is not JSON serializable")
    assert outcome == Failed(Cause.UNKNOWN, "Invalid status code: 404; Response payload is not JSON serializable")


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("content_policy_violation", Cause.CONTENT_POLICY),
        ("image_load_error", Cause.BAD_IMAGE),
        ("image_too_small", Cause.IMAGE_SIZE),
        ("image_too_large", Cause.IMAGE_SIZE),
        ("face_detection_error", Cause.NO_FACE),
        ("file_download_error", Cause.DOWNLOAD),
        ("file_too_large", Cause.IMAGE_SIZE),
        ("invalid_archive", Cause.BAD_ARCHIVE),
        ("archive_file_count_below_minimum", Cause.TOO_FEW_IMAGES),
        ("archive_file_count_exceeds_maximum", Cause.TOO_MANY_IMAGES),
        ("startup_timeout", Cause.TIMEOUT),
        ("client_cancelled", Cause.CANCELLED),
        ("runner_scheduling_failure", Cause.FAL_TROUBLE),
        ("internal_error", Cause.FAL_TROUBLE),
        ("input_value_error", Cause.UNKNOWN),
        ("no_media_generated", Cause.UNKNOWN),
    ],
)
def test_causes_by_type(kind: str, cause: Cause) -> None:
    """Each documented error type has its cause, in a list of details and as `error_type`."""
    assert failed({"detail": [{"msg": "Sorry.", "type": kind}]}) == Failed(cause, "Sorry.")
    assert failed({"detail": "Sorry.", "error_type": kind}) == Failed(cause, "Sorry.")
    assert failed({"error_type": kind}) == Failed(cause, kind)


@pytest.mark.parametrize(
    ("sentence", "cause"),
    [
        ("No face detected in the images", Cause.NO_FACE),
        ("Could not find any face", Cause.NO_FACE),
        ("Prompt flagged by NSFW filter", Cause.CONTENT_POLICY),
        ("Job timed out", Cause.TIMEOUT),
        ("Request was cancelled", Cause.CANCELLED),
        ("At least 4 images are required", Cause.TOO_FEW_IMAGES),
        ("Too many images", Cause.TOO_MANY_IMAGES),
        ("The image is too small", Cause.IMAGE_SIZE),
        ("File is not a zip file", Cause.BAD_ARCHIVE),
        ("Failed to download the file", Cause.DOWNLOAD),
        ("cannot identify image file", Cause.BAD_IMAGE),
        ("User is locked. Reason: Exhausted balance.", Cause.OUR_ACCOUNT),
        ("Path /finetune not found", Cause.UNKNOWN),
        ("huggingface said no", Cause.UNKNOWN),
    ],
)
def test_causes_by_words(sentence: str, cause: Cause) -> None:
    """A bare sentence gives a cause only where its words leave no doubt."""
    assert failed({"detail": sentence}) == Failed(cause, sentence)
    assert failed(sentence) == Failed(cause, sentence)
    assert failed({"detail": [sentence]}) == Failed(cause, sentence)


def test_error_text_is_never_a_cause() -> None:
    """The `error` field is for display only: its text varies, so no cause is drawn from it."""
    assert failed({}, error="Timed out") == Failed(Cause.UNKNOWN, "Timed out")


@pytest.mark.parametrize(
    "payload", [None, 5, True, [], {}, {"detail": None}, {"detail": [None, 5, {}]}, {"detail": {}}]
)
def test_error_without_reason(payload: object) -> None:
    """A failure without any reason is still a failure."""
    assert failed(payload) == Failed(Cause.UNKNOWN, "fal gave no reason")


def test_detail_is_fit_to_store() -> None:
    """The stored words hold no URL, no control character, and at most 1000 characters."""
    urls = "s3://bucket/key http://u:p@host/x www.example.com/x data:image/png;base64,AAAA HTTPS://V3.FAL.MEDIA/X"
    outcome = failed({"detail": f"a\0b\x1b[31m\u202e\r\nc {urls} " + "long " * 5000})
    assert outcome.detail.startswith("a b [31m c [url] [url] [url] [url] [url] long long")
    assert outcome.detail.isprintable()
    assert len(outcome.detail) == 1000


def test_unreadable() -> None:
    """Fault 33: what is no delivery is refused with a reason, and never breaks the reader."""
    for raw, code in [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        ('{"status": "OK"}'.encode("utf-16"), "not_json"),
        (b'{"request_id": "\xff"}', "not_json"),
        (b'{"request_id": NaN}', "not_json"),
        (b'{"request_id": Infinity}', "not_json"),
        (b'{"request_id": "\\ud800"}', "not_json"),
        (b'{"request_id": "a\x00"}', "not_json"),
        (b"[" * 100_000, "not_json"),
        (b"[" * 2000 + b"]" * 2000, "not_json"),
        (b'{"a": 1e400}', "not_json"),
        (b"{" + b"1" * 30 + b": 1}", "not_json"),
        (b'{"a": 0' + b"1" * 30 + b"}", "not_json"),
        (b'{"a": ' + b"1" * 30, "not_json"),
        (b'{"a": "' + b"1" * 30 + b"\\", "not_json"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'"x"', "not_an_object"),
        (b"1" * 30, "not_an_object"),
        (b"{}", "no_request_id"),
        (b'{"request_id": null}', "no_request_id"),
        (b'{"request_id": ""}', "no_request_id"),
        (b'{"request_id": " "}', "no_request_id"),
        (b'{"request_id": 123}', "no_request_id"),
        (b'{"request_id": ["a"]}', "no_request_id"),
        (b'{"request_id": "a\\u0000b"}', "no_request_id"),
        (b'{"request_id": "' + b"a" * 256 + b'"}', "no_request_id"),
        (b'{"request_id": "a"}', "unknown_status"),
        (b'{"request_id": "a", "status": "ok"}', "unknown_status"),
        (b'{"request_id": "a", "status": "COMPLETED"}', "unknown_status"),
        (b'{"request_id": "a", "status": "OK "}', "unknown_status"),
        (b'{"request_id": "a", "status": ["OK"]}', "unknown_status"),
    ]:
        assert unreadable(raw) == code, (raw, code)


def test_repeated_field() -> None:
    """Fault 33: of a repeated field the last counts."""
    assert read(b'{"request_id": "a", "request_id": "b", "status": "OK"}').request_id == "b"


@pytest.mark.parametrize(
    ("digits", "kept"),
    [
        ("17454220438242315174", 17454220438242315174),
        ("18446744073709551615", 18446744073709551615),
        ("-9223372036854775808", -9223372036854775808),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("9" * 400, "9" * 400),
        ("1.2345678901234567890123", 1.2345678901234567890123),
        ("1e-0000000000000000000000001", 0.1),
        ("9" * 3000, "9" * 3000),
        ("1234567890123456789012.5", 1234567890123456789012.5),
        ("1234567890123456789e2", 1234567890123456789e2),
    ],
    ids=lambda value: f"{len(str(value))}-{value!r:.40}",
)
def test_huge_numbers(digits: str, kept: object) -> None:
    """Fault 33: an integer of any size is read without losing a digit; beyond 64 bits it becomes text."""
    raw = body(payload={**TRAINED, "seed": 0, "note": 'a "quoted" ' + "7" * 30})
    raw = raw.replace(b'"seed": 0', f'"seed": {digits}'.encode())
    reading = read(raw)
    assert reading.outcome == Completed(Artifacts(lora_url=LORA, config_url=CONFIG))
    payload = json.loads(reading.answer)["payload"]
    assert payload["seed"] == kept
    assert payload["note"].endswith("7" * 30)


def test_very_long_integer() -> None:
    """Fault 33: an integer of a million digits does not stop the reader either."""
    assert read(body(payload={"seed": 0}).replace(b": 0", b": " + b"9" * 1_000_000)).outcome == Completed(Artifacts())


def test_answer_fits_postgresql() -> None:
    """Fault 33: U+0000, which PostgreSQL refuses in JSON, is replaced wherever it stands."""
    reading = read(body(payload={"a\0b": ["\0", {"c": "d\0"}]}))
    assert "\\u0000" not in reading.answer
    assert json.loads(reading.answer)["payload"] == {"a\ufffdb": ["\ufffd", {"c": "d\ufffd"}]}
    assert "\ud800" not in answer({"request_id": "a\ud800"})


def test_answer_drops_input() -> None:
    """What a person typed or uploaded (`detail[].input`) is not kept, whatever the shape of `detail`."""
    for detail in ({"input": "SECRET", "msg": "m"}, [{"input": {"prompt": "SECRET"}}, "x"], "x"):
        assert "SECRET" not in answer({"payload": {"detail": detail}})


def test_answer_replaces_long_text() -> None:
    """A data URI is replaced by a note; its neighbours stay."""
    kept = json.loads(
        answer({"payload": {"images": [{"url": "data:image/png;base64," + "A" * 500_000, "width": 512}]}})
    )
    assert kept == {"payload": {"images": [{"url": "[500022 characters not kept]", "width": 512}]}}


@pytest.mark.parametrize(
    "payload",
    [
        [[["é" * 300] * 40] * 5] * 10,
        {f"key {n}": n for n in range(50_000)},
        [0] * 300_000,
        {"k" * 500_000: 1},
        "x" * 900_000,
        [{str(n): "y" * 399 for n in range(50)}] * 50,
    ],
    ids=["nested", "keys", "list", "key", "text", "wide"],
)
def test_answer_is_bounded(payload: object) -> None:
    """However large the body, what is kept of it is JSON of at most 64 KiB that still names the request."""
    text = read(body(payload=payload)).answer
    assert len(text.encode()) <= ANSWER_LIMIT
    assert json.loads(text)["request_id"] == ID


def test_answer_of_deep_nesting() -> None:
    """Fault 33: nesting as deep as the parser allows is cut, not a stack overflow."""
    deep = b"[" * 1000 + b"]" * 1000
    reading = read(b'{"request_id": "a", "status": "OK", "payload": ' + deep + b"}")
    assert "deeper levels not kept" in reading.answer


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)


def check(reading: Reading) -> None:
    orjson.loads(reading.answer)
    assert "\\u0000" not in re.sub(r"\\\\", "", reading.answer)
    assert len(reading.answer.encode()) <= ANSWER_LIMIT
    assert reading.request_id.isprintable()
    if isinstance(reading.outcome, Failed):
        assert 0 < len(reading.outcome.detail) <= 1000
        assert reading.outcome.detail.isprintable()


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    """Fault 33: any bytes give a reading or a reason, nothing else."""
    try:
        reading = read(raw)
    except PayloadUnreadable:
        return
    check(reading)


@given(
    st.fixed_dictionaries(
        {"request_id": st.text(min_size=1) | JSON, "status": st.sampled_from(["OK", "ERROR"])},
        optional={
            "payload": JSON
            | st.fixed_dictionaries(
                {},
                optional={
                    "detail": JSON
                    | st.lists(st.fixed_dictionaries({}, optional={"msg": JSON, "type": JSON, "input": JSON})),
                    "error_type": JSON,
                    "finetune_id": JSON,
                    "diffusers_lora_file": st.fixed_dictionaries({"url": JSON}),
                },
            ),
            "error": JSON,
            "payload_error": JSON,
            "gateway_request_id": JSON,
        },
    )
)
def test_any_delivery(document: dict[str, Any]) -> None:
    """Fault 33: any JSON in the known fields gives a reading that is safe to store, or a reason."""
    try:
        reading = read(json.dumps(document).encode())
    except PayloadUnreadable:
        return
    check(reading)
