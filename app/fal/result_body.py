"""The end of a request in the webhook's form, as bytes that are the same at every look.

Sorted keys, no times and no metrics: they differ between fal's queue and fal's list, and none of them is an outcome.
Where fal's own bytes are gone it is written from what a job's row keeps.
"""

from typing import Any

import orjson

from app.domain.job import JobOutcome
from app.domain.training import Artifacts
from app.fal.scrub import without_any_key

RESULT_GONE = "result_gone"  # the error type that we give to a request whose result fal no longer has
DEPTH_LIMIT = 100  # levels; fal's answers have five

_VOLATILE = frozenset(
    "timings metrics inference_time logs created_at started_at sent_at ended_at completed_at timestamp".split()  # noqa: SIM905 a word list reads better
)


def success(request_id: str, payload: dict[str, Any]) -> bytes:
    """Write what a webhook would say of a request that gave `payload`.

    Raises ValueError or TypeError for what is too deep to be written.
    """
    return _written(request_id, "OK", payload, None)


def failure(request_id: str, payload: object, status: int) -> bytes:
    """Write what a webhook would say of a request that ended with this HTTP status and body.

    Raises ValueError or TypeError for what is too deep to be written.
    """
    return _written(request_id, "ERROR", payload, f"Invalid status code: {status}")


def gone(request_id: str) -> bytes:
    """Write the end of a request that has ended at fal, whose result nobody can have any more."""
    return complaint(request_id, RESULT_GONE, "fal has no result of this request any more")


def complaint(request_id: str, kind: str, sentence: str) -> bytes:
    """Write a failure of one error type (it may be empty) and one sentence."""
    return _written(request_id, "ERROR", {"detail": [{"type": kind, "msg": sentence}]}, None)


def _written(request_id: str, status: str, payload: object, error: str | None) -> bytes:
    document = {"request_id": request_id, "status": status, "payload": _lasting(payload, DEPTH_LIMIT), "error": error}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _lasting(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return without_any_key(value)
    if not isinstance(value, dict | list):
        return value
    if depth == 0:
        msg = "deeper than any answer of fal's"
        raise ValueError(msg)
    if isinstance(value, list):
        return [_lasting(entry, depth - 1) for entry in value]
    return {without_any_key(name): _lasting(entry, depth - 1) for name, entry in value.items() if name not in _VOLATILE}


def restored(request_id: str, outcome: JobOutcome, artifacts: Artifacts, detail: str | None) -> bytes:
    """Write what a webhook would say of a job that ended like this; `detail` is what fal said of a failure."""
    if outcome is JobOutcome.COMPLETED:
        files = (("diffusers_lora_file", artifacts.lora_url), ("config_file", artifacts.config_url))
        payload: dict[str, object] = {name: {"url": url} for name, url in files if url}
        if artifacts.finetune_id:
            payload["finetune_id"] = artifacts.finetune_id
        return success(request_id, payload)
    kind = RESULT_GONE if outcome is JobOutcome.GONE else ""
    return complaint(request_id, kind, detail or "fal gave no reason")
