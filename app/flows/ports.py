"""The three outsides that tests replace: time, fal's queue, Telegram. The database is never faked."""

from datetime import datetime
from typing import Protocol

from app.domain.notification import Notification
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


class Messenger(Protocol):
    """Telegram's Bot API, as far as we speak it."""

    async def send(self, notification: Notification) -> SendOutcome:
        """Word and send one notification. Raises nothing that Telegram causes."""
        ...
