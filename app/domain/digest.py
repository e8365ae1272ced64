"""What the operator reads once a day: what became of a day's trainings, and whom they failed. Pure."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

DAY = timedelta(days=1)
SHOWN = 15  # failed trainings that are named; Telegram's message has room for more, a reader has not


@dataclass(frozen=True, slots=True)
class FailedTraining:
    """A training that cost its owner money and gave nothing. `chat_id` is None where the owner has no chat."""

    avatar: str
    chat_id: int | None
    cause: str


@dataclass(frozen=True, slots=True)
class Digest:
    """One day's figures. `median_wait` is from our first sight of a training to its end; waits are None without any.

    `failures` names at most SHOWN of the `failed`.
    """

    ready: int
    failed: int
    median_wait: timedelta | None
    oldest_wait: timedelta | None
    failures: tuple[FailedTraining, ...]


def median(waits: Sequence[timedelta]) -> timedelta | None:
    """Return the middle one of some waits, the longer of the two middle ones of an even number.

    >>> median([timedelta(1), timedelta(3), timedelta(2)]), median([])
    (datetime.timedelta(days=2), None)
    """
    return sorted(waits)[len(waits) // 2] if waits else None


def spell_digest(digest: Digest) -> str:
    """Spell a digest as JSON, for the row that keeps it until it is told."""
    waits = [None if wait is None else wait.total_seconds() for wait in (digest.median_wait, digest.oldest_wait)]
    failures = [[one.avatar, one.chat_id, one.cause] for one in digest.failures]
    return json.dumps([digest.ready, digest.failed, *waits, failures], ensure_ascii=False)


def read_digest(spelt: str) -> Digest:
    """Read what `spell_digest` wrote. Raises ValueError for anything else."""
    try:
        ready, failed, *waits, failures = json.loads(spelt)
        middle, oldest = [None if wait is None else timedelta(seconds=wait) for wait in waits]
        return Digest(ready, failed, middle, oldest, tuple(FailedTraining(*one) for one in failures))
    except TypeError as error:
        raise ValueError(str(error)) from None
