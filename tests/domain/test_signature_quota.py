import pytest

from app.domain.quotas import BURST, FAILING, FULL_AGAIN, REFILL_SECONDS, SignatureQuota


class Seconds:
    """A count that goes on when told."""

    def __init__(self) -> None:
        self.now = 5000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def failures(seconds: Seconds) -> SignatureQuota:
    return SignatureQuota(seconds)


def test_a_burst_is_within_measure(failures: SignatureQuota) -> None:
    """Twenty failures at once are within an address's measure, the next is beyond it."""
    assert [failures.add("203.0.113.7") for _ in range(BURST + 5)] == [True] * BURST + [False] * 5


def test_one_more_comes_every_three_seconds(failures: SignatureQuota, seconds: Seconds) -> None:
    """Failures beyond the measure do not put off the refill: each 3 s give one more."""
    for _ in range(BURST + 1000):
        failures.add("203.0.113.7")
    for _ in range(3):
        seconds.now += REFILL_SECONDS - 0.01
        assert not failures.add("203.0.113.7")
        seconds.now += 0.01
        assert failures.add("203.0.113.7")


def test_after_a_minute_the_measure_is_full_again(failures: SignatureQuota, seconds: Seconds) -> None:
    """After 60 s, and after a year as well, there are twenty again and no more."""
    for pause in (FULL_AGAIN, 86_400 * 365):
        for _ in range(BURST + 1):
            failures.add("203.0.113.7")
        seconds.now += pause
        assert [failures.add("203.0.113.7") for _ in range(BURST + 1)] == [True] * BURST + [False]
        seconds.now += FULL_AGAIN


def test_more_than_half_are_many(failures: SignatureQuota, seconds: Seconds) -> None:
    """More than ten failures are many, until enough time has passed; asking counts for nothing."""
    assert not failures.are_many("203.0.113.7")
    for _ in range(BURST // 2):
        failures.add("203.0.113.7")
        assert not failures.are_many("203.0.113.7")
    failures.add("203.0.113.7")
    assert failures.are_many("203.0.113.7")
    seconds.now += REFILL_SECONDS
    assert not failures.are_many("203.0.113.7")


def test_a_flood_stays_many(failures: SignatureQuota, seconds: Seconds) -> None:
    """In a flood that goes on the failures stay many, though single ones come within the measure again."""
    for _ in range(BURST):
        failures.add("203.0.113.7")
    for _ in range(100):
        seconds.now += 1.0
        failures.add("203.0.113.7")
        assert failures.are_many("203.0.113.7")


def test_others_are_not_punished(failures: SignatureQuota) -> None:
    """One address's failures are not another's."""
    for _ in range(BURST * 2):
        failures.add("203.0.113.7")
    assert failures.add("203.0.113.8")


def test_memory_is_bounded(failures: SignatureQuota) -> None:
    """However many addresses knock, 4096 are remembered, and the quiet ones are forgotten first."""
    for _ in range(BURST):
        failures.add("203.0.113.7")
    for n in range(FAILING * 2):
        failures.add(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}")
        if n % 100 == 0:
            assert not failures.add("203.0.113.7")
    assert len(failures._full_at) == FAILING
