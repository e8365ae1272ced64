"""The end of a job in the webhook's form, written from what its row keeps, where fal's own bytes are gone.

The same end gives the same bytes, so that it is stored once.
"""

from app.domain.job import JobOutcome
from app.domain.training import Artifacts
from app.fal import result_body


def restored(request_id: str, outcome: JobOutcome, artifacts: Artifacts, detail: str | None) -> bytes:
    """Write what a webhook would say of a job that ended like this; `detail` is what fal said of a failure."""
    if outcome is JobOutcome.COMPLETED:
        files = (("diffusers_lora_file", artifacts.lora_url), ("config_file", artifacts.config_url))
        payload: dict[str, object] = {name: {"url": url} for name, url in files if url}
        if artifacts.finetune_id:
            payload["finetune_id"] = artifacts.finetune_id
        return result_body.success(request_id, payload)
    kind = result_body.RESULT_GONE if outcome is JobOutcome.GONE else ""
    return result_body.complaint(request_id, kind, detail or "fal gave no reason")
