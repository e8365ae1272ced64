"""Writing to fal: a training is submitted, a request cancelled. What it costs, and what fal holds, is asked here too.

Facts: docs/fal.md. Nothing here is ever sent a second time: a submission that is repeated is paid twice.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

import orjson

from app.domain.look import Trouble, Unsaid
from app.domain.submission import ListedRequest, Price
from app.domain.submit_outcome import AnswerLost, CancelOutcome, NotTaken, SubmitOutcome
from app.fal.access import FalAccess
from app.fal.client import FetchFailed, get_capped, send_once
from app.fal.endpoints import LIST_PATH, cancel_url, submit_url
from app.fal.payload import FalAnswer
from app.fal.submit_answers import read_cancelled, read_page, read_prices, read_submitted

SECONDS = 15.0  # for a submission: fal's answer takes about one
PRICE_SECONDS = 5.0
BODY_LIMIT = 64 * 1024  # bytes of an answer
PAGE_LIMIT = 4 * 1024 * 1024  # bytes of a page of the list, which has what was given
PAGE = 100
PAGES = 5
PRICES_PATH = "/v1/models/pricing"
NO_KEY = "FAL_API_KEY is not set, so nothing can be submitted"


class FalSubmitApi(FalAccess):
    """Satisfies the port FalDesk."""

    async def submit(self, endpoint: str, arguments: Mapping[str, object], webhook: str) -> SubmitOutcome:
        """Submit once. `webhook` travels in the URL, where fal looks for it."""
        url = submit_url(self.queue_url, endpoint, webhook)
        if self._headers is None or url is None:
            return NotTaken(*((Trouble.NO_FAL_KEY, NO_KEY) if url else (Trouble.FAL_ODD, "no endpoint of fal's")))
        try:
            answered = await self._write("POST", url, orjson.dumps(arguments))
        except FetchFailed as failed:
            why = f"no answer to the submission: {failed.why}"
            return AnswerLost(why) if failed.has_left else NotTaken(Trouble.FAL_DOWN, why)
        return read_submitted(answered, self._is_own)

    async def cancel(self, endpoint: str, request_id: str, url: str | None) -> CancelOutcome:
        """Ask fal once to cancel. `url` is fal's own address for it, where it is known."""
        own = url if self._is_own(url, request_id) else None
        address = own or cancel_url(self.queue_url, endpoint, request_id)
        if self._headers is None or address is None:
            return NotTaken(*((Trouble.NO_FAL_KEY, NO_KEY) if address else (Trouble.FAL_ODD, "no request of fal's")))
        try:
            answered = await self._write("PUT", address, b"")
        except FetchFailed as failed:
            return NotTaken(Trouble.FAL_DOWN, f"no answer to the cancellation: {failed.why}")
        return read_cancelled(answered)

    async def price(self, endpoint: str) -> Price | None:
        """Ask what one unit costs; None where that cannot be learnt now."""
        url = f"{self.api_url}{PRICES_PATH}?{urlencode({'endpoint_id': endpoint})}"
        return read_prices(await self._ask(url, BODY_LIMIT, PRICE_SECONDS), endpoint)

    async def recent(self, endpoint: str, since: datetime) -> list[ListedRequest] | Unsaid:
        """List what fal took at an endpoint since a moment (timezone-aware), with what it was given.

        Pages shift while requests end, so that an entry may come twice: it is given back once. More than 500 entries
        say nothing certain of any.
        """
        found: dict[str, ListedRequest] = {}
        query = {"endpoint_id": endpoint, "limit": PAGE, "expand": "payloads"}
        query["start"] = f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        for _ in range(PAGES):
            page = read_page(await self._ask(f"{self.api_url}{LIST_PATH}?{urlencode(query)}", PAGE_LIMIT, SECONDS))
            if isinstance(page, Unsaid):
                return page
            found |= {item.request_id: item for item in page[0]}
            if page[1] is None:
                return list(found.values())
            query["cursor"] = page[1]
        return Unsaid(Trouble.FAL_ODD, "fal's list has more pages than are read")

    async def _write(self, method: str, url: str, body: bytes) -> FalAnswer:
        headers = {**(self._headers or {}), "Content-Type": "application/json"}
        reply = await send_once(self.client, method, url, body, headers, limit=BODY_LIMIT, seconds=SECONDS)
        return FalAnswer(reply.status, {}, self._clean(reply.body))

    async def _ask(self, url: str, limit: int, seconds: float) -> FalAnswer | Unsaid:
        if self._headers is None:
            return Unsaid(Trouble.NO_FAL_KEY, NO_KEY)
        try:
            status, body = await get_capped(self.client, url, limit, self._headers, seconds)
        except FetchFailed as failed:
            return Unsaid(Trouble.FAL_DOWN, f"fal gave no answer: {failed.why}")
        return FalAnswer(status, {}, self._clean(body))
