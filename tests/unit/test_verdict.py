"""Waiting and giving up."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from app.domain.verdict import BACKOFF_CAP, Bury, Retry, await_training, backoff, retry_or_bury
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
