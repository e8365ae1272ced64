"""The system clock: the one module that reads the current time."""

from datetime import UTC, datetime


class SystemClock:
    """Reads the time of this machine."""

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)  # noqa: TID251  the one Clock there is
