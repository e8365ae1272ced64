"""Which step of the server does not work, and why in words: pure.

A step is what the worker repeats (`apply`, `notify`, `reconcile`, …) and, where single rows fail inside a step that
itself goes on, those rows: `deliveries`, `notifications` (sending them), `records` (of what was sent), `jobs`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.language import Msgid, msgid

AGAIN = 3  # failures in a row
LASTING = timedelta(seconds=10)  # since the first of them; a restart of the database is shorter
ROWS_QUIET = timedelta(minutes=6)  # a row that failed is tried again within five: without one, nothing fails any more
ROWS = frozenset({"deliveries", "notifications", "records", "jobs"})
TELLING = frozenset(
    {"watch", "notify", "notifications", "records"}
)  # alerts go this way: its failures are told by another
SHOWN = 4  # failing steps in one alert


class StepReason(StrEnum):
    """Why a step fails, as far as it can be said without a value of any row."""

    DATABASE_AWAY = "database_away"
    LOGIN_REFUSED = "login_refused"
    READ_ONLY = "read_only"
    NO_ROOM = "no_room"
    LOCKED = "locked"
    DAMAGED = "damaged"
    RIGHT_MISSING = "right_missing"
    TABLE_CHANGED = "table_changed"
    RAISED_INSIDE = "raised_inside"
    VALUE_REFUSED = "value_refused"
    SILENT = "silent"
    BUG = "bug"


WORDS: dict[StepReason, Msgid] = {
    StepReason.DATABASE_AWAY: msgid("the database does not answer"),
    StepReason.LOGIN_REFUSED: msgid("the database refuses our name or password"),
    StepReason.READ_ONLY: msgid("the database takes no writes"),
    StepReason.NO_ROOM: msgid("the database lacks disk, memory or connections"),
    StepReason.LOCKED: msgid("somebody else holds rows or a table for too long"),
    StepReason.DAMAGED: msgid("the database is damaged, or its disk failed"),
    StepReason.RIGHT_MISSING: msgid("a right in the database is missing"),
    StepReason.TABLE_CHANGED: msgid("a table, column or function of the database is not what the server needs"),
    StepReason.RAISED_INSIDE: msgid("a rule, trigger or constraint inside the database refuses what is written"),
    StepReason.VALUE_REFUSED: msgid("the database did not take a value"),
    StepReason.SILENT: msgid("the step gave no sign of life for too long"),
    StepReason.BUG: msgid("an error of the program"),
}


@dataclass(frozen=True, slots=True)
class StepTrouble:
    """A step that failed `times` in a row since `since`, for the last time at `last`.

    `named` says what the reason is about (a column, a type of error): no value of any row, nothing secret.
    """

    step: str
    reason: StepReason
    named: str
    since: datetime
    last: datetime
    times: int

    def is_failing(self, now: datetime) -> bool:
        """Tell whether it failed again and again, so that it is no passing trouble."""
        if self.step in ROWS and now - self.last > ROWS_QUIET:
            return False
        return self.times >= AGAIN and now - self.since >= LASTING

    def why(self, say: Callable[[Msgid], str]) -> str:
        """Say why, on one line; `say` puts a text into the operator's language."""
        words = say(WORDS[self.reason])
        return f"{words} ({self.named})" if self.named else words


def list_steps(troubles: Sequence[StepTrouble], say: Callable[[Msgid], str]) -> str:
    """Name failing steps and their reasons on one line, as `why` has them; empty where there are none."""
    shown = "; ".join(f"{trouble.step}: {trouble.why(say)}" for trouble in troubles[:SHOWN])
    left = len(troubles) - SHOWN
    return f"{shown}; +{left}" if left > 0 else shown
