"""Which steps fail again and again: kept in memory by each process, read by the health page and the alerts."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.steps import AGAIN, LASTING, TELLING, StepReason, StepTrouble
from app.flows.ports import Clock

TURN = timedelta(seconds=20)  # within which a failing step has another turn: its longest pause is 15 s
ReasonOf = Callable[[BaseException], tuple[StepReason, str]]


class Watched(Protocol):
    """What a flow tells of its steps."""

    def failed(self, step: str, error: BaseException) -> None:
        """Count one failure."""

    def hung(self, step: str) -> None:
        """Note a step that was cut off for giving no sign of life."""

    def worked(self, step: str) -> None:
        """Forget the failures of a step."""


class Unwatched:
    """Stands in where nobody asks which steps fail: a command that takes a turn by hand."""

    def failed(self, step: str, error: BaseException) -> None:
        """Count nothing."""

    def hung(self, step: str) -> None:
        """Note nothing."""

    def worked(self, step: str) -> None:
        """Forget nothing."""


UNWATCHED = Unwatched()


class Steps:
    """Counts failures in a row by step; a step that works once is forgotten. `reason_of` says why an error came."""

    def __init__(self, clock: Clock, reason_of: ReasonOf) -> None:
        self._clock = clock
        self._reason_of = reason_of
        self._troubles: dict[str, StepTrouble] = {}
        self._telling_since: datetime | None = None  # when what alerts need began to work again

    def failed(self, step: str, error: BaseException) -> None:
        """Count one failure."""
        now = self._clock.now()
        before = self._troubles.get(step)
        reason, named = self._reason_of(error)
        since, times = (now, 0) if before is None else (min(before.since, now), before.times)
        self._troubles[step] = StepTrouble(step, reason, named, since, now, times + 1)

    def hung(self, step: str) -> None:
        """Note a step that was cut off for giving no sign of life: that alone counts as failing again and again."""
        now = self._clock.now()
        before = self._troubles.get(step)
        times = AGAIN if before is None else max(before.times + 1, AGAIN)
        since = now - LASTING if before is None else min(before.since, now - LASTING)
        self._troubles[step] = StepTrouble(step, StepReason.SILENT, "", since, now, times)

    def worked(self, step: str) -> None:
        """Forget the failures of a step."""
        if not self._troubles or (ended := self._troubles.pop(step, None)) is None:
            return
        now = self._clock.now()
        if step in TELLING and ended.is_failing(now):
            self._telling_since = now

    def tellable(self) -> tuple[StepTrouble, ...]:
        """Return the failing steps that an ordinary alert should tell of: none that alerts themselves need.

        Where those failed, too, and have just come back, it was one cause: a step counts once it has failed after its
        own pause was over.
        """
        back = self._telling_since
        found = (trouble for trouble in self.failing() if trouble.step not in TELLING)
        return tuple(trouble for trouble in found if back is None or trouble.last - back >= TURN)

    def failing(self) -> tuple[StepTrouble, ...]:
        """Return the steps that fail again and again, the one that failed first before the others."""
        if not self._troubles:
            return ()
        now = self._clock.now()
        failing = [trouble for trouble in self._troubles.values() if trouble.is_failing(now)]
        return tuple(sorted(failing, key=lambda trouble: (trouble.since, trouble.step)))
