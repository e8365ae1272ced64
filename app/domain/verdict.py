"""What becomes of a claimed row: Done | Retry(at) | Bury(why)."""

import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta

BACKOFF_BASE = timedelta(seconds=2)
BACKOFF_CAP = timedelta(minutes=5)
DOWN_PATIENCE = timedelta(hours=48)  # longer than any outage of fal's or Telegram's that is worth waiting out
DOWN_CAP = timedelta(seconds=30)
DOWN_TRIES = 100  # least number of failures before an old row is buried: its first outage may have begun just now
ORPHAN_KEEN = timedelta(minutes=10)
ORPHAN_STEP = timedelta(seconds=3)
LOCK_STEP = timedelta(seconds=3)
TRACE_KEPT = 8000  # characters


@dataclass(frozen=True, slots=True)
class Done:
    """Finished. `why` tells what was (not) done, as a stable code."""

    why: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again at `at`. `failed` is False where nothing went wrong (an orphan waiting for its training)."""

    at: datetime
    why: str
    failed: bool = True


@dataclass(frozen=True, slots=True)
class Bury:
    """Set aside for the operator. `detail` may hold a traceback; it never holds a secret."""

    why: str
    detail: str = ""


Verdict = Done | Retry | Bury


def backoff(failures: int, jitter: float) -> timedelta:
    """How long to wait before try number `failures + 1`.

    Doubles from 2 s up to 5 min; `jitter` in [0, 1) takes away up to a quarter, so that rows which failed
    together do not come back together.

    >>> backoff(0, 0.0).total_seconds(), backoff(3, 0.0).total_seconds(), backoff(99, 0.0).total_seconds()
    (2.0, 16.0, 300.0)
    """
    full: timedelta = min(BACKOFF_BASE * 2 ** min(failures, 16), BACKOFF_CAP)
    return full * (1 - 0.25 * jitter)


def wait_out(why: str, detail: str, *, failures: int, since: datetime, now: datetime, jitter: float) -> Retry | Bury:
    """Retry while they are down; bury what was made DOWN_PATIENCE ago and has failed DOWN_TRIES times.

    The wait stays short, so that a minute after they are back everything has been tried.
    """
    if now - since >= DOWN_PATIENCE and failures >= DOWN_TRIES:
        return Bury(why, detail)
    return Retry(now + min(backoff(failures, jitter), DOWN_CAP), why)


def last_words(error: Exception) -> str:
    """Return the end of a traceback, as much as a row keeps."""
    return "".join(traceback.format_exception(error))[-TRACE_KEPT:]


def retry_or_bury(why: str, detail: str, *, failures: int, limit: int, now: datetime, jitter: float) -> Retry | Bury:
    """Retry our own bug with backoff until `limit` failures, then bury: a poison row must not come back for ever."""
    if failures + 1 >= limit:
        return Bury(why, detail)
    return Retry(now + backoff(failures, jitter), why)


def await_training(received_at: datetime, now: datetime, patience: timedelta) -> Retry | Bury:
    """Set the next look at an orphan: every 3 s while it is young (the bot may commit its id late), ever rarer after.

    Buried once it is older than `patience`.
    """
    age = now - received_at
    if age >= patience:
        return Bury("orphan", "no avatar with this request id appeared in time")
    wait = ORPHAN_STEP if age < ORPHAN_KEEN else min(age / 20, BACKOFF_CAP)
    return Retry(now + wait, "orphan", failed=False)


def await_lock(now: datetime) -> Retry:
    """Set the next look at a training whose row somebody else is writing."""
    return Retry(now + LOCK_STEP, "locked", failed=False)
