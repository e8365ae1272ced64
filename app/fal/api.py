"""fal's queue API: the result of a finished request, for what a webhook did not bring. What it means, `payload` reads.

Source: fal queue docs (docs/fal.md).
"""

from urllib.parse import quote

import httpx2

from app.domain.errors import ResultUnavailable
from app.domain.training import Trainer
from app.fal.client import FetchFailed, get_capped
from app.fal.payload import FalAnswer

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

    async def result(self, request_id: str, trainer: Trainer | None) -> FalAnswer:
        """Fetch what the result endpoint says of a request; `trainer` None is taken for portrait.

        Raises ResultUnavailable where there is no answer: `no_fal_key` · `result_gone` (no id to ask for) ·
        `fal_down` (unreachable, slow) · `result_unreadable` (too large, compressed, or FAL_QUEUE_URL is plain HTTP).
        """
        if self._headers is None:
            raise ResultUnavailable("no_fal_key", "FAL_API_KEY is not set, so the result cannot be fetched")
        if not request_id.strip("."):
            raise ResultUnavailable("result_gone", "this cannot be a request id of fal's")
        url = f"{self._base_url}/{ENDPOINTS[trainer]}/requests/{quote(request_id, safe='', errors='replace')}"
        headers: dict[str, str] = {}
        try:
            status, body = await get_capped(
                self._client, url, BODY_LIMIT, self._headers, DEADLINE_SECONDS, on_headers=headers.update
            )
        except FetchFailed as failure:
            code = "result_unreadable" if failure.why in _OUR_FAULT_OR_ODD else "fal_down"
            raise ResultUnavailable(code, f"fal's queue gave no answer: {failure.why}") from None
        return FalAnswer(status, headers, body)
