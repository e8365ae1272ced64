"""What happens to rows, as their history keeps it: one line for each step, written in the commit that makes it."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class EventKind(StrEnum):
    """What happened. A newer version beside us may write others."""

    CLAIMED = "claimed"  # a delivery was taken for longer than one transaction: something is asked or looked at first
    APPLIED = "applied"
    POSTPONED = "postponed"
    BURIED = "buried"
    TOLD = "told"
    UNSENT = "unsent"  # there was no token: the message stands in the log
    OVERTAKEN = "overtaken"
    STAGE = "stage"  # fal said that a job is at this stage
    ASKED = "asked"  # fal was asked, and said nothing of a job
    RECOVERED = "recovered"  # a result was fetched from fal, and entered the inbox
    ENDED = "ended"  # a look at fal ended a job
    DRIFTED = "drifted"
    REDRIVEN = "redriven"
    IGNORED = "ignored"
    ACT = "act"  # an operator's act on many rows has come this far; `reason` is its name
    STOPPED = "stopped"  # somebody had it stopped


ACTS = (EventKind.REDRIVEN, EventKind.IGNORED)  # an operator's


class Event(NamedTuple):
    """One line of the history. `who` is an operator, None the server itself; `why` their words."""

    at: datetime
    kind: str
    delivery_id: int | None = None
    notification_id: int | None = None
    job_id: int | None = None
    attempt: int | None = None
    reason: str | None = None
    who: str | None = None
    why: str | None = None


def is_worth_keeping(failures: int) -> bool:
    """Tell whether one more failure gets a line: the first, second, fourth, eighth … do, so that none floods it.

    >>> [failures for failures in range(1, 20) if is_worth_keeping(failures)]
    [1, 2, 4, 8, 16]
    """
    return failures > 0 and failures & (failures - 1) == 0
