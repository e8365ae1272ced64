"""How far this machine's clock is from fal's, by the Date header of fal's answers."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import structlog

from app.domain.alert_rules import CLOCK_SKEW

HALF_A_SECOND = timedelta(seconds=0.5)  # mean error of a Date header, which is cut to whole seconds
AGE_DIGITS = 6

_log = structlog.get_logger(__name__)


def _since_boot() -> float:
    """Count seconds that no setting of the clock touches; a suspended machine's count goes on where Linux can."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Skew:
    """Our clock against fal's.

    `clock` gives our time in UTC, `elapsed` seconds from any start that no setting of the clock touches: so a jump
    of our clock shows at once and not at the next answer. Precise to half a second and half of an answer's time.
    """

    def __init__(self, clock: Callable[[], datetime], elapsed: Callable[[], float] = _since_boot) -> None:
        self._clock = clock
        self._elapsed = elapsed
        self._measured: tuple[float, datetime] | None = None  # what `elapsed` said when fal's clock said that
        self._is_told = False

    def offset(self) -> timedelta | None:
        """Tell by how much our clock is ahead of fal's (negative: behind); None before fal's first answer."""
        if self._measured is None:
            return None
        at, theirs = self._measured
        return self._clock() - theirs - timedelta(seconds=self._elapsed() - at)

    def timing(self, host: str | None) -> Callable[[Mapping[str, str]], None]:
        """Begin to time a request to `host`; what is returned takes the headers of its answer, whatever they hold."""
        sent = self._elapsed()

        def take(headers: Mapping[str, str]) -> None:
            theirs = _date_of(headers)
            if theirs is not None:
                self._measured = ((sent + self._elapsed()) / 2, theirs)
                self._tell(host)

        return take

    def _tell(self, host: str | None) -> None:
        offset = self.offset()
        assert offset is not None
        is_skewed = abs(offset) > CLOCK_SKEW
        if is_skewed and not self._is_told:
            _log.error("clock.skewed", host=host, ahead_seconds=round(offset.total_seconds(), 1))
        elif self._is_told and not is_skewed:
            _log.info("clock.right_again", host=host, ahead_seconds=round(offset.total_seconds(), 1))
        self._is_told = is_skewed


def _date_of(headers: Mapping[str, str]) -> datetime | None:
    """Read when an answer left; one from a cache is as much older as its Age says."""
    age = headers.get("age", "")
    seconds = int(age) if age.isascii() and age.isdigit() and len(age) <= AGE_DIGITS else 0
    try:
        date = parsedate_to_datetime(headers.get("date", ""))
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        return date + timedelta(seconds=seconds) + HALF_A_SECOND
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
