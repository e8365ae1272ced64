"""How much memory unfinished bodies may take."""

from app.domain.quotas import MEMORY, MemoryQuota

MIB = 1 << 20


def test_the_quota_fits_the_largest_body() -> None:
    """64 MiB, four of the largest bodies where that is more; an address may have a 32nd, and one body at least."""
    for limit, most, share in ((MIB, MEMORY, 2 * MIB), (3 * MIB, MEMORY, 3 * MIB), (20 * MIB, 80 * MIB, 20 * MIB)):
        quota = MemoryQuota(limit)
        assert (quota.limit, quota.most, quota.share, quota.for_strangers) == (limit, most, share, most // 2)


def test_what_is_taken_is_given_back() -> None:
    """An address that gave everything back has its whole share again, and the room is what it was."""
    quota = MemoryQuota(MIB)
    assert quota.take("203.0.113.7", MIB, is_expected=False) is None
    assert quota.take("203.0.113.7", MIB, is_expected=False) is None
    assert quota.take("203.0.113.7", 1, is_expected=False) == "share"
    assert (quota.held_by("203.0.113.7"), quota.held_by("203.0.113.8"), quota.room) == (2 * MIB, 0, MEMORY - 2 * MIB)
    quota.give_back("203.0.113.7", MIB)
    assert (quota.held_by("203.0.113.7"), quota.room) == (MIB, MEMORY - MIB)
    quota.give_back("203.0.113.7", MIB)
    assert (quota.held_by("203.0.113.7"), quota.room) == (0, MEMORY)


def test_the_last_half_is_for_what_is_expected() -> None:
    """Strangers fill one half; fal's bodies find the other free, up to the very last byte."""
    quota = MemoryQuota(MIB)
    for number in range(16):
        assert quota.take(f"203.0.113.{number}", 2 * MIB, is_expected=False) is None
    assert quota.take("198.51.100.1", 1, is_expected=False) == "full"
    for number in range(16):
        assert quota.take(f"198.51.100.{number}", 2 * MIB, is_expected=True) is None
    assert quota.take("198.51.100.99", 1, is_expected=True) == "full"
    assert quota.room == 0
