"""What every client of fal's has: where fal is, and our key, which no answer may hold."""

from dataclasses import dataclass, field

from app.fal.client import Client
from app.fal.endpoints import names_request, same_origin
from app.fal.scrub import Scrub


@dataclass(eq=False, repr=False, slots=True)
class FalAccess:
    """`queue_url` is FAL_QUEUE_URL, `api_url` FAL_API_URL; without a key nothing is asked."""

    queue_url: str
    api_url: str
    api_key: str | None
    client: Client
    _clean: Scrub = field(init=False)

    def __post_init__(self) -> None:
        self.api_url = self.api_url.rstrip("/")
        self._clean = Scrub(self.api_key)

    @property
    def _headers(self) -> dict[str, str] | None:
        return {"Authorization": f"Key {self.api_key}"} if self.api_key else None

    def _is_own(self, url: str | None, request_id: str) -> bool:
        """Tell whether our key may go to this address: fal's own, and of this request."""
        return url is not None and same_origin(url, self.queue_url) and names_request(url, request_id)
