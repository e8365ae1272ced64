"""What the one progress message of a training says at a moment. Pure; `app.telegram.progress_wording` has the words."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.notification import Owner

IN_FIVES = 5  # minutes to which a usual total is rounded
IN_HOURS = timedelta(minutes=90)  # from here on it is told in hours


class ProgressLine(StrEnum):
    """The lines that there are, in the order in which they may follow each other."""

    QUEUED = "queued"
    LONG_QUEUE = "long_queue"
    AT_WORK = "at_work"
    LATE = "late"
    FETCHING = "fetching"
    TROUBLE_OURS = "trouble_ours"  # said only after the operator's alert was sent
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Progress:
    """One line about one training.

    `usual` is how long such a training takes as a rule (AT_WORK), `percent` what is done of it, where that is known,
    and `until` when the next line is promised (LATE).
    """

    line: ProgressLine
    name: str
    owner: Owner
    usual: timedelta = IN_HOURS / 6
    percent: int | None = None
    until: datetime | None = None


def spell_usual(usual: timedelta) -> tuple[str, int]:
    """Say a duration as (unit, count): minutes in fives, or hours.

    >>> spell_usual(timedelta(minutes=23)), spell_usual(timedelta(minutes=100))
    (('minutes', 25), ('hours', 2))
    """
    if usual >= IN_HOURS:
        return "hours", round(usual / timedelta(hours=1))
    return "minutes", max(IN_FIVES, IN_FIVES * round(usual / timedelta(minutes=IN_FIVES)))
