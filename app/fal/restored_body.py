"""The end of a job in the webhook's form, written from what its row keeps, where fal's own bytes are gone.

The same end gives the same bytes, so that it is stored once.
"""

from typing import Any

import orjson

from app.domain.job import JobOutcome
from app.domain.training import Artifacts


def restored(request_id: str, outcome: JobOutcome, artifacts: Artifacts, detail: str | None) -> bytes:
    """Write what a webhook would say of a job that ended like this; `detail` is what fal said of a failure."""
    payload: dict[str, Any]
    if outcome is JobOutcome.COMPLETED:
        files = (("diffusers_lora_file", artifacts.lora_url), ("config_file", artifacts.config_url))
        payload = {name: {"url": url} for name, url in files if url}
        if artifacts.finetune_id:
            payload["finetune_id"] = artifacts.finetune_id
        return _written(request_id, "OK", payload)
    entry = {"type": "result_gone" if outcome is JobOutcome.GONE else "", "msg": detail or "fal gave no reason"}
    return _written(request_id, "ERROR", {"detail": [entry]})


def _written(request_id: str, status: str, payload: dict[str, Any]) -> bytes:
    document = {"error": None, "payload": payload, "request_id": request_id, "status": status}
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
