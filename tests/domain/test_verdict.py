"""Waiting and giving up."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.verdict import (
    BACKOFF_CAP,
    DOWN_CAP,
    DOWN_PATIENCE,
    DOWN_TRIES,
    Bury,
    Retry,
    await_lock,
    await_training,
    backoff,
    last_words,
    retry_or_bury,
    wait_out,
)
from tests.fakes import START

DAY = timedelta(hours=24)


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_backoff_stays_between_its_bounds(failures: int, jitter: float) -> None:
    """However often something failed, the next try is neither at once nor later than the cap."""
    assert timedelta(seconds=1.5) <= backoff(failures, jitter) <= BACKOFF_CAP


@given(st.integers(0, 30))
def test_backoff_never_shrinks(failures: int) -> None:
    """Without jitter each wait is at least as long as the one before."""
    assert backoff(failures + 1, 0.0) >= backoff(failures, 0.0)


def test_the_last_failure_buries() -> None:
    """Ten failures are the limit of ten: the ninth is retried, the tenth is buried with its reason."""
    ninth = retry_or_bury("down", "d", failures=8, limit=10, now=START, jitter=0.0)
    tenth = retry_or_bury("down", "d", failures=9, limit=10, now=START, jitter=0.0)
    assert isinstance(ninth, Retry)
    assert tenth == Bury("down", "d")


@given(st.integers(0, 600))
def test_a_young_orphan_is_looked_at_within_five_seconds(age: int) -> None:
    """The bot may commit its request id late: for ten minutes a training is noticed within 5 s (fault 24)."""
    verdict = await_training(START, START + timedelta(seconds=age), DAY)
    assert isinstance(verdict, Retry)
    assert not verdict.failed
    if age < 600:
        assert verdict.at - START - timedelta(seconds=age) <= timedelta(seconds=5)


def test_an_orphan_is_no_retry_storm() -> None:
    """In a whole day an orphan is looked at fewer than 600 times, then buried where the operator sees it (fault 25)."""
    now, looks = START, 0
    while isinstance(verdict := await_training(START, now, DAY), Retry):
        now, looks = verdict.at, looks + 1
    assert looks < 600
    assert now - START >= DAY
    assert verdict == Bury("orphan", "no avatar with this request id appeared in time")


@pytest.mark.parametrize("age", [DOWN_PATIENCE, timedelta(days=400)])
def test_a_first_failure_buries_nothing_however_old_it_is(age: timedelta) -> None:
    """A row that was redriven, or that a machine found after days off, is tried before it is given up (fault 29)."""
    verdict = wait_out("fal_down", "502", failures=0, since=START - age, now=START, jitter=0.0)
    assert isinstance(verdict, Retry)


def test_what_is_old_and_was_tried_often_is_buried() -> None:
    """The last of the tries that two days surely hold buries; the one before does not, nor does a young row's."""

    def after(failures: int, age: timedelta) -> Retry | Bury:
        return wait_out("fal_down", "502", failures=failures, since=START - age, now=START, jitter=0.0)

    assert after(DOWN_TRIES, DOWN_PATIENCE) == Bury("fal_down", "502")
    assert isinstance(after(DOWN_TRIES - 1, DOWN_PATIENCE), Retry)
    assert isinstance(after(DOWN_TRIES, DOWN_PATIENCE - timedelta(seconds=1)), Retry)


def test_an_outage_of_two_days_holds_more_tries_than_it_takes() -> None:
    """At the longest wait between two tries a row of two days has been tried often enough to be buried."""
    assert DOWN_CAP * DOWN_TRIES < DOWN_PATIENCE


def test_a_retry_waits_by_its_failures_and_says_why() -> None:
    """Our own bug doubles its wait, an outage waits DOWN_CAP at most, a locked row three seconds."""
    bug = retry_or_bury("bug", "trace", failures=3, limit=10, now=START, jitter=0.0)
    assert bug == Retry(START + timedelta(seconds=16), "bug")
    for failures, wait in ((0, timedelta(seconds=2)), (3, timedelta(seconds=16)), (9, DOWN_CAP)):
        out = wait_out("fal_down", "502", failures=failures, since=START, now=START, jitter=0.0)
        assert out == Retry(START + wait, "fal_down")
    assert await_lock(START) == Retry(START + timedelta(seconds=3), "locked", failed=False)


def test_an_old_orphan_is_looked_at_ever_more_rarely() -> None:
    """Every three seconds for ten minutes, then after a twentieth of its age, at last every five minutes."""
    for minutes, seconds in ((0, 3), (9, 3), (10, 30), (20, 60), (100, 300), (1000, 300)):
        now = START + timedelta(minutes=minutes)
        assert await_training(START, now, DAY) == Retry(now + timedelta(seconds=seconds), "orphan", failed=False)


def test_jitter_takes_a_quarter_away_at_most() -> None:
    """Rows that failed together do not come back together."""
    assert backoff(3, 0.5) == timedelta(seconds=14)
    assert backoff(10_000, 1.0) == timedelta(seconds=225)


def test_the_last_words_of_an_error_are_the_end_of_its_traceback() -> None:
    """Its type and text stand at the end, which is what a row keeps of a long one."""
    assert last_words(ValueError("x" * 9000 + "!")) == "x" * (8000 - len("!\n")) + "!\n"
    assert last_words(ValueError("short")) == "ValueError: short\n"
