"""Webhook bodies in the bytes that fal sends: `json.dumps(sort_keys=True)` with `", "` and `": "`."""

import hashlib
import json
import uuid
from collections.abc import Collection
from typing import Any, Final

UNSERIALISED: Final = "Response payload is not JSON serializable. Either return a JSON object."
IMAGE_BYTES: Final = 200_000  # about what a JPEG of one megapixel takes
IMAGE_NAMES: Final = (".jpg", ".jpeg", ".png", ".webp")
LORA_BYTES: Final = 89_745_224  # size of a real portrait LoRA (docs/fal.md).

Payload = dict[str, Any]


def job_id(number: int) -> str:
    """Return the request id of job `number`: UUIDv7-looking, as fal's are, and always the same for one number."""
    digest = hashlib.sha256(f"job {number}".encode()).digest()
    random_like = uuid.UUID(bytes=b"\x01\x9a" + digest[:14], version=4)
    return f"{str(random_like)[:14]}7{str(random_like)[15:]}"


def body_for(
    request_id: str,
    *,
    status: str = "OK",
    payload: Any = None,
    error: str | None = None,
    gateway_request_id: str | None = None,
    **more: Any,
) -> bytes:
    """Return one webhook body. `error` is present as null on success; `more` adds keys such as `payload_error`."""
    ids = {"request_id": request_id, "gateway_request_id": gateway_request_id or request_id}
    return dumps({**ids, "status": status, "payload": payload, "error": error, **more})


def dumps(value: Any) -> bytes:
    """Return JSON in fal's spelling: sorted keys, ASCII only, a space after each separator."""
    return json.dumps(value, sort_keys=True, separators=(", ", ": ")).encode()


def portrait(seed: str) -> Payload:
    """Return the output of fal-ai/flux-lora-portrait-trainer; `seed` (a request id, say) makes the URLs unique."""
    return {
        "diffusers_lora_file": _file(seed, "pytorch_lora_weights.safetensors", LORA_BYTES),
        "config_file": _file(seed, "config.json", 1031, "application/json"),
    }


def images(seed: str, count: int = 1, flagged: Collection[int] = ()) -> Payload:
    """Return the output of an image model such as fal-ai/flux-lora; `flagged` are the indexes of unsafe images."""
    files = [_file(f"{seed}.{number}", f"{number}.jpg", IMAGE_BYTES, "image/jpeg") for number in range(count)]
    return {
        "images": [{**file, "width": 1024, "height": 1024} for file in files],
        "has_nsfw_concepts": [number in flagged for number in range(count)],
        "prompt": "TOK_0b5e3b9c in a garden, golden hour",
        "seed": 17454220438242315174,
        "timings": {"inference": 1.39},
    }


def success(request_id: str, payload: Payload | None = None, *, gateway_request_id: str | None = None) -> bytes:
    """Return shape 1 of docs/fal.md: OK with a payload, `portrait(request_id)` by default."""
    return body_for(request_id, payload=payload or portrait(request_id), gateway_request_id=gateway_request_id)


def validation_failure(request_id: str, kind: str = "content_policy_violation") -> bytes:
    """Return shape 2: ERROR with `payload.detail` as a list; `input` echoes what a person typed.

    `kind` is an error type of docs/fal.md.
    """
    return body_for(request_id, status="ERROR", payload=complaint(kind), error="Invalid status code: 422")


def complaint(kind: str) -> Payload:
    """Return what a model answers with 422; `input` echoes what a person typed."""
    detail = {
        "loc": ["body", "images_data_url"],
        "msg": f"The training images were refused ({kind}).",
        "type": kind,
        "url": f"https://docs.fal.ai/errors#{kind}",
        "ctx": {"extra_info": {}},
        "input": "https://v3.fal.media/files/owner/private-photos.zip",
    }
    return {"detail": [detail]}


def infra_failure(request_id: str, error_type: str = "runner_disconnected", status: int = 503) -> bytes:
    """Return shape 3: ERROR with `payload.detail` as a string."""
    payload = {"detail": "The runner went away.", "error_type": error_type}
    return body_for(request_id, status="ERROR", payload=payload, error=f"Unexpected status code: {status}")


def unserialised_success(request_id: str) -> bytes:
    """Return shape 4: the training succeeded, but its payload must be fetched from the queue."""
    return body_for(request_id, payload_error=UNSERIALISED)


def unserialised_failure(request_id: str) -> bytes:
    """Return shape 5: ERROR without a payload, as in fal-js#153."""
    return body_for(request_id, status="ERROR", error="Invalid status code: 404", payload_error=UNSERIALISED)


def _file(seed: str, name: str, size: int, content_type: str = "application/octet-stream") -> Payload:
    folder = hashlib.sha256(seed.encode()).hexdigest()[:20]
    url = f"https://v3.fal.media/files/penguin/{folder}_{name}"
    return {"url": url, "content_type": content_type, "file_name": name, "file_size": size}
