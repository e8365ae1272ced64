"""The four ports, which tests replace: time, fal's queue and CDN, Telegram. The database is never faked."""

from datetime import datetime
from typing import Protocol

from app.domain.artifact import ArtifactLook
from app.domain.message import Message
from app.domain.send_outcome import SendOutcome
from app.domain.training import Trainer
from app.fal.payload import FalAnswer


class Clock(Protocol):
    """Where `now` comes from."""

    def now(self) -> datetime:
        """Return the current time, timezone-aware, in UTC."""
        ...


class FalQueue(Protocol):
    """fal's queue API."""

    async def result(self, request_id: str, trainer: Trainer | None) -> FalAnswer:
        """Fetch what fal says of a finished request, whatever that is.

        Raises ResultUnavailable when there is no answer.
        """
        ...


class ArtifactStore(Protocol):
    """fal's CDN, where artifacts lie. Raises nothing that the net or the CDN causes."""

    async def look(self, url: str, within: float) -> ArtifactLook:
        """Look whether the file is there, for at most `within` seconds."""
        ...

    async def aclose(self) -> None:
        """Close what is open."""
        ...


class Messenger(Protocol):
    """Telegram's chats, as far as we write to them. Raises nothing that Telegram causes."""

    async def send(self, chat_id: int, message: Message) -> SendOutcome:
        """Send one message."""
        ...

    async def edit(self, chat_id: int, message_id: int, message: Message) -> SendOutcome:
        """Put `message` in the place of one that was sent; Sent, too, where it reads so already."""
        ...
