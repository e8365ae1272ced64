"""What an owner reads while a training is under way: one silent message, edited in place. Pure.

It never says how a training ended: that is a message of its own. Wording: `app.telegram.wording`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.job import Stage
from app.domain.notification import Owner
from app.domain.trainer import Trainer

FIRST = timedelta(seconds=60)  # a training that ends within a minute needs no progress
APART = timedelta(minutes=3)  # between two edits; Telegram counts an edit as a message
MOST_EDITS = 8  # with the last line, for which one is kept
MOST_MOVES = 3  # edits after which a moved end alone is no reason: what is promised to a late one needs the rest
LONG_QUEUE = timedelta(minutes=15)
MOVED = timedelta(minutes=5)  # an expected end that moves by less is not worth an edit
SHORTEST_PROMISE, LONGEST_PROMISE = timedelta(minutes=30), timedelta(hours=12)
ROUND = timedelta(minutes=5)
ENOUGH = 10  # trainings of one trainer, from which on our own past counts
LIKELY, LATE = 0.5, 0.95  # shares of the past
IN_FIVES = 5  # minutes to which a usual total is rounded
IN_HOURS = timedelta(minutes=90)  # from here on it is told in hours
HIGHEST = 99  # percent, before there is a result


class ProgressMode(StrEnum):
    """The setting PROGRESS."""

    OFF = "off"
    LATE = "late"  # only what the bot's own screen cannot know
    ON = "on"


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


_IN_LATE_MODE = {ProgressLine.LONG_QUEUE, ProgressLine.LATE, ProgressLine.TROUBLE_OURS}


@dataclass(frozen=True, slots=True)
class Usual:
    """How long trainings of one trainer are at work: half of them `likely`, nearly all `late` at most."""

    likely: timedelta
    late: timedelta


FIRST_GUESS = {  # until there are ENOUGH of our own; fal publishes no times
    Trainer.PORTRAIT: Usual(timedelta(minutes=20), timedelta(minutes=60)),
    Trainer.STYLE: Usual(timedelta(minutes=10), timedelta(minutes=45)),
}


@dataclass(frozen=True, slots=True)
class ProgressState:
    """One state of the message.

    `usual` is how long such a training takes as a rule, `percent` 0-99 how far it is, `until` when the next line comes.
    """

    kind: ProgressLine
    usual: timedelta | None = None
    percent: int | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What stands in the chat now. `ends_at` is the end that the owner was led to expect."""

    chat_id: int
    message_id: int
    kind: ProgressLine
    at: datetime
    edits: int
    ends_at: datetime | None


class ProgressEnd(StrEnum):
    """Why a progress message is edited no more. All but the first end progress in that chat, too."""

    CLOSED = "closed"  # it has its last line, or there is none to say
    REFUSED = "refused"
    SLOWED = "slowed"  # 429: results must not wait behind edits
    NOT_EDITABLE = "not_editable"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands. `is_troubled`: the cause is ours, and the operator's alert about it was sent."""

    stage: Stage | None
    first_seen_at: datetime
    at_work_since: datetime | None
    percent: int | None
    is_troubled: bool


@dataclass(frozen=True, slots=True)
class ProgressMessage:
    """One state of one owner's message about the training called `name`."""

    name: str
    owner: Owner
    line: ProgressState


def spell_usual(usual: timedelta) -> tuple[str, int]:
    """Say a duration as (unit, count): minutes in fives, or hours.

    >>> spell_usual(timedelta(minutes=23)), spell_usual(timedelta(minutes=100))
    (('minutes', 25), ('hours', 2))
    """
    if usual >= IN_HOURS:
        return "hours", round(usual / timedelta(hours=1))
    return "minutes", max(IN_FIVES, IN_FIVES * round(usual / timedelta(minutes=IN_FIVES)))


def usual(past: Sequence[timedelta], trainer: Trainer | None) -> Usual:
    """Learn from how long trainings were at work; too few of them are outweighed by a first guess.

    >>> usual([timedelta(minutes=n) for n in range(1, 21)], None).late
    datetime.timedelta(seconds=1140)
    """
    if len(past) < ENOUGH:
        return FIRST_GUESS[trainer or Trainer.PORTRAIT]
    ordered = sorted(past)
    return Usual(_quantile(ordered, LIKELY), _quantile(ordered, LATE))


def next_line(
    job: Standing, shown: Shown | None, usual: Usual, mode: ProgressMode, now: datetime
) -> ProgressState | None:
    """Tell what the message should say from now on; None where it stays as it is, or is not sent yet."""
    line = _line(job, shown, usual, now)
    if line is None or mode is ProgressMode.OFF:
        return None
    if mode is ProgressMode.LATE and shown is None and line.kind not in _IN_LATE_MODE:
        return None
    if shown is None:
        return line
    if now - shown.at < APART or shown.edits >= MOST_EDITS - 1:
        return None
    if line.kind is not shown.kind:
        return line
    if line.kind is ProgressLine.AT_WORK and shown.edits >= MOST_MOVES:
        return None
    return line if _has_moved(ends_at(job, line, now), shown, now) else None


def last_line(shown: Shown, now: datetime, *, is_ready: bool) -> ProgressState | None:
    """Tell how the message ends once the result was told; None while the last edit is too young."""
    if now - shown.at < APART:
        return None
    return ProgressState(ProgressLine.READY if is_ready else ProgressLine.FAILED)


def ends_at(job: Standing, line: ProgressState, now: datetime) -> datetime | None:
    """Tell when the owner may expect the next line: the promised moment, or the likely end."""
    if line.until is not None:
        return line.until
    if line.kind is not ProgressLine.AT_WORK or job.at_work_since is None or line.usual is None:
        return None
    if line.percent:
        return now + (now - job.at_work_since) * (100 - line.percent) / line.percent
    return job.at_work_since + line.usual


def _quantile(ordered: Sequence[timedelta], share: float) -> timedelta:
    return ordered[math.ceil(share * len(ordered)) - 1]


def _line(job: Standing, shown: Shown | None, usual: Usual, now: datetime) -> ProgressState | None:
    if job.is_troubled:
        return ProgressState(ProgressLine.TROUBLE_OURS)
    match job.stage:
        case Stage.AT_WORK if job.at_work_since is not None:
            worked = now - job.at_work_since
            if worked >= usual.late:
                return ProgressState(ProgressLine.LATE, until=_promise(worked - usual.late, shown, now))
            percent = None if job.percent is None else min(job.percent, HIGHEST)
            return (
                ProgressState(ProgressLine.AT_WORK, usual.likely, percent)
                if worked >= FIRST or shown is not None
                else None
            )
        case Stage.FINISHED:
            return (
                ProgressState(ProgressLine.FETCHING) if shown is not None else None
            )  # the result itself comes in a moment
        case Stage.QUEUED:
            waited = now - job.first_seen_at
            if waited >= LONG_QUEUE:
                return ProgressState(ProgressLine.LONG_QUEUE)
            return ProgressState(ProgressLine.QUEUED) if waited >= FIRST else None
        case _:
            return None


def _promise(overdue: timedelta, shown: Shown | None, now: datetime) -> datetime:
    """Name the moment of the next line: what was promised while it lies ahead, else later each time."""
    if shown is not None and shown.kind is ProgressLine.LATE and shown.ends_at is not None and shown.ends_at > now:
        return shown.ends_at
    is_last = shown is not None and shown.edits >= MOST_EDITS - 2  # no ordinary edit is left to keep a nearer promise
    at = now + (LONGEST_PROMISE if is_last else min(max(SHORTEST_PROMISE, overdue), LONGEST_PROMISE))
    past = timedelta(minutes=at.minute % 5, seconds=at.second, microseconds=at.microsecond)
    return at - past + (ROUND if past else timedelta())


def _has_moved(expected: datetime | None, shown: Shown, now: datetime) -> bool:
    if expected is None or shown.ends_at is None:
        return False
    if shown.kind is ProgressLine.LATE:  # a promise that has come due
        return shown.ends_at <= now
    return abs(expected - shown.ends_at) >= MOVED
