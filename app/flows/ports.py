"""The ports, which tests replace: time, fal's queue and CDN, Telegram. The database is never faked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from app.domain.artifact import ArtifactLook
from app.domain.look import Unsaid
from app.domain.message import Message
from app.domain.send_outcome import SendOutcome
from app.domain.submission import ListedRequest, Price
from app.domain.submit_outcome import CancelOutcome, SubmitOutcome
from app.fal.payload import FalAnswer


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""


class FalQueue(Protocol):
    """fal's queue and its list of requests. Raises nothing that fal or the net causes.

    `url` is fal's own address of the answer, where it is known.
    """

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for the state of a request."""

    async def result(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for what a request gave."""

    async def logs(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for what the trainer of a request printed lately."""

    async def listed(self, endpoint: str, request_id: str) -> FalAnswer | Unsaid:
        """Ask for the entry of a request in fal's list."""


class FalDesk(Protocol):
    """Where trainings are submitted to fal. Raises nothing that fal or the net causes, and sends nothing twice."""

    async def submit(self, endpoint: str, arguments: Mapping[str, object], webhook: str) -> SubmitOutcome:
        """Submit once; `webhook` is our address for the result."""

    async def cancel(self, endpoint: str, request_id: str, url: str | None) -> CancelOutcome:
        """Ask once to cancel a request."""

    async def price(self, endpoint: str) -> Price | None:
        """Ask what one unit costs; None where that cannot be learnt now."""

    async def recent(self, endpoint: str, since: datetime) -> list[ListedRequest] | Unsaid:
        """List what fal took at an endpoint since a moment."""


class ArtifactStore(Protocol):
    """fal's CDN, where artifacts lie. Raises nothing that the net or the CDN causes."""

    async def look(self, url: str, within: float) -> ArtifactLook:
        """Look whether the file is there, for at most `within` seconds."""

    async def aclose(self) -> None:
        """Close what is open."""


class Messenger(Protocol):
    """Telegram's chats, as far as we write to them. Raises nothing that Telegram causes."""

    async def send(self, chat_id: int, message: Message) -> SendOutcome:
        """Send one message."""

    async def edit(self, chat_id: int, message_id: int, message: Message) -> SendOutcome:
        """Put `message` in the place of one that was sent; Sent, too, where it reads so already."""
