"""fal's queue API: the result of a finished request, for what a webhook did not bring.

Source: fal queue docs (docs/fal.md).
"""

from typing import Any
from urllib.parse import quote

import httpx2

from app.domain.errors import PayloadUnreadable, ResultUnavailable
from app.domain.training import Reading, Trainer
from app.fal.client import FetchFailed, get_capped
from app.fal.payload import parse, understand

# Status and result drop the sub-path of the endpoint the request was submitted to: owner and app only.
ENDPOINTS = {
    None: "fal-ai/flux-lora-portrait-trainer",
    Trainer.PORTRAIT: "fal-ai/flux-lora-portrait-trainer",
    Trainer.STYLE: "fal-ai/flux-pro-trainer",
}
DEADLINE_SECONDS = 10.0
BODY_LIMIT = 1024 * 1024  # bytes

_OUR_FAULT_OR_ODD = {"too_large", "encoded", "insecure_url"}


class FalQueueApi:
    """Satisfies the port FalQueue. `base_url` is FAL_QUEUE_URL; `api_key` None means that nothing can be fetched."""

    def __init__(self, base_url: str, api_key: str | None, client: httpx2.AsyncClient) -> None:
        self._base_url = base_url.rstrip("/")
        self._headers = {"Authorization": f"Key {api_key}"} if api_key else None
        self._client = client

    async def result(self, request_id: str, trainer: Trainer | None) -> Reading:
        """Fetch the result of a finished request; `trainer` None is taken for portrait.

        Raises ResultUnavailable: `no_fal_key` · `fal_key_refused` (401, 403) · `not_ready` · `result_gone` (404, 410) ·
        `fal_down` (429, 5xx, unreachable, slow) · `result_unreadable` (an answer that makes no sense).
        """
        if self._headers is None:
            raise ResultUnavailable("no_fal_key", "FAL_API_KEY is not set, so the result cannot be fetched")
        if not request_id.strip("."):
            raise ResultUnavailable("result_gone", "this cannot be a request id of fal's")
        url = f"{self._base_url}/{ENDPOINTS[trainer]}/requests/{quote(request_id, safe='', errors='replace')}"
        try:
            status, body = await get_capped(self._client, url, BODY_LIMIT, self._headers, DEADLINE_SECONDS)
        except FetchFailed as failure:
            code = "result_unreadable" if failure.why in _OUR_FAULT_OR_ODD else "fal_down"
            raise ResultUnavailable(code, f"fal's queue gave no answer: {failure.why}") from None
        return interpret(request_id, status, body)


def interpret(request_id: str, status: int, body: bytes) -> Reading:
    """Tell what an answer of the result endpoint means. It replays the model's own status code and body, errors too."""
    if status in (401, 403):
        raise ResultUnavailable("fal_key_refused", f"fal's queue answered {status}: key revoked, or account locked")
    try:
        payload = parse(body)
    except PayloadUnreadable:
        payload = None
    detail = payload.get("detail") if isinstance(payload, dict) else None
    if status == httpx2.codes.ACCEPTED or _is_unfinished(payload, status, detail):
        raise ResultUnavailable("not_ready", "the request is not finished yet")
    if httpx2.codes.is_success(status):
        if payload is None:
            raise ResultUnavailable("result_unreadable", "fal's queue answered without JSON")
        return _reading(request_id, "OK", payload, None)
    if _is_model_error(status, detail):
        return _reading(request_id, "ERROR", payload, f"fal's queue answered {status}")
    if status in (404, 410):
        raise ResultUnavailable("result_gone", f"fal's queue answered {status}: expired or unknown there")
    if status in (408, 429) or status >= httpx2.codes.INTERNAL_SERVER_ERROR:
        raise ResultUnavailable("fal_down", f"fal's queue answered {status}")
    raise ResultUnavailable("result_unreadable", f"fal's queue answered {status}")


def _is_unfinished(payload: Any, status: int, detail: object) -> bool:
    if status == httpx2.codes.BAD_REQUEST:
        return isinstance(detail, str) and "in progress" in detail.lower()
    return (
        httpx2.codes.is_success(status)
        and isinstance(payload, dict)
        and payload.get("status") in ("IN_QUEUE", "IN_PROGRESS")
    )


def _is_model_error(status: int, detail: object) -> bool:
    """Tell a verdict on the training from trouble of the queue itself, which speaks in bare sentences too."""
    if status in (422, 499):  # the queue has no other use for these
        return isinstance(detail, list | str)
    return status >= httpx2.codes.BAD_REQUEST and isinstance(detail, list)


def _reading(request_id: str, status: str, payload: object, error: str | None) -> Reading:
    try:
        return understand({"request_id": request_id, "status": status, "error": error, "payload": payload})
    except PayloadUnreadable as reason:
        raise ResultUnavailable("result_unreadable", str(reason)) from None
