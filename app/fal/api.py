"""fal's queue and its list of requests, asked about one request. What the answers mean, `queue_answers` reads.

Facts: docs/fal.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.look import Trouble, Unsaid
from app.fal.access import FalAccess
from app.fal.client import FetchFailed, get_capped
from app.fal.endpoints import list_url, result_url, status_url
from app.fal.payload import FalAnswer

DEADLINE_SECONDS = 10.0
BODY_LIMIT = 1024 * 1024  # bytes
LISTED = timedelta(days=30)  # how far back a request is looked for: as long as fal stores what was given

OnSaid = Callable[[str, FalAnswer | Unsaid], None]
_OUR_FAULT_OR_ODD = {"too_large", "encoded", "insecure_url"}


@dataclass(eq=False, repr=False, slots=True)
class FalQueueApi(FalAccess):
    """Satisfies the port FalQueue; `now` is the clock's. `on_said` hears what was asked, and what came of it.

    Each question is one GET of at most ten seconds; redirects are not followed. What is not asked or not answered
    comes back as `Unsaid`: `no_fal_key` · `fal_down` (unreachable, slow) · `fal_odd` (an endpoint or id that cannot be
    fal's; an answer that is too large or compressed; a URL that is plain HTTP). No answer holds our key.
    """

    now: Callable[[], datetime]
    on_said: OnSaid = lambda _asked, _said: None

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for the state of a request, without its logs: they could outlast the deadline.

        `url` is fal's own status URL where it is known; another host's or another request's is not used.
        """
        return await self._ask("status", self._own(url, request_id) or status_url(self.queue_url, endpoint, request_id))

    async def result(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for what a request gave; `url` is fal's own response URL, used as in `status`."""
        return await self._ask("result", self._own(url, request_id) or result_url(self.queue_url, endpoint, request_id))

    async def logs(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for what a trainer printed in the last five minutes; `url` is fal's own status URL, as in `status`."""
        address = self._own(url, request_id) or status_url(self.queue_url, endpoint, request_id)
        return await self._ask("logs", None if address is None else f"{address.partition('?')[0]}?logs=1")

    async def listed(self, endpoint: str, request_id: str) -> FalAnswer | Unsaid:
        """Ask fal's list of requests for one of the last 30 days. `endpoint` with its sub-path, as it was submitted."""
        return await self._ask("listed", list_url(self.api_url, endpoint, request_id, self.now() - LISTED))

    def _own(self, url: str | None, request_id: str) -> str | None:
        return url if self._is_own(url, request_id) else None

    async def _ask(self, asked: str, url: str | None) -> FalAnswer | Unsaid:
        said = await self._fetch(url)
        self.on_said(asked, said)
        return said

    async def _fetch(self, url: str | None) -> FalAnswer | Unsaid:
        if self._headers is None:
            return Unsaid(Trouble.NO_FAL_KEY, "FAL_API_KEY is not set, so fal cannot be asked")
        if url is None:
            return Unsaid(Trouble.FAL_ODD, "this cannot be an endpoint and a request id of fal's")
        headers: dict[str, str] = {}
        try:
            status, body = await get_capped(
                self.client, url, BODY_LIMIT, self._headers, DEADLINE_SECONDS, on_headers=headers.update
            )
        except FetchFailed as failure:
            trouble = Trouble.FAL_ODD if failure.why in _OUR_FAULT_OR_ODD else Trouble.FAL_DOWN
            return Unsaid(trouble, f"fal gave no answer: {failure.why}")
        clean = {name.lower(): self._clean(value.encode()).decode(errors="replace") for name, value in headers.items()}
        return FalAnswer(status, clean, self._clean(body))
