"""Who gets a place, and under which name it is counted."""

import pytest

from app.domain.quotas import ConnectionQuota

FAL = "34.123.59.101"


def entered(quota: ConnectionQuota, host: str, times: int) -> int:
    return sum(quota.enter(host) is None for _ in range(times))


def test_one_address_holds_its_share_and_no_more() -> None:
    """An eighth of the places for one address; the others stay free for everybody else (fault 31)."""
    quota = ConnectionQuota(800)
    assert entered(quota, "203.0.113.1", 1000) == quota.share == 100
    assert quota.enter("203.0.113.1") == "share"
    assert entered(quota, "203.0.113.2", 5) == 5


def test_nobody_enters_a_full_house() -> None:
    """Beyond the total even a spared address is refused, until somebody leaves."""
    quota = ConnectionQuota(16, ["127.0.0.1"])
    assert entered(quota, "127.0.0.1", 20) == 16
    assert quota.enter("203.0.113.1") == "full"
    quota.leave("127.0.0.1")
    assert quota.enter("203.0.113.1") is None


@pytest.mark.parametrize(("most", "share"), [(16, 8), (64, 8), (1000, 125), (4, 4)])
def test_a_share_is_an_eighth_but_not_too_small(most: int, share: int) -> None:
    """Eight connections are granted to an address even in a small house, and never more than there are."""
    assert ConnectionQuota(most).share == share


@pytest.mark.parametrize(
    ("host", "another", "together"),
    [
        ("203.0.113.1", "203.0.113.1", True),
        ("203.0.113.1", "203.0.113.2", False),
        ("203.0.113.1", "::ffff:203.0.113.1", True),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_an_address_is_counted_under_one_name(host: str, another: str, *, together: bool) -> None:
    """A mapped address is the IPv4 address, and one network of IPv6 counts as one: its owner has 2^64 addresses."""
    quota = ConnectionQuota(16)
    assert entered(quota, host, 8) == 8
    assert (quota.enter(another) == "share") is together


@pytest.mark.parametrize("host", ["10.1.2.3", "::1", "::ffff:10.0.0.7", ""])
def test_a_proxy_may_fill_the_house(host: str) -> None:
    """Who stands for everybody has no share to keep to, and neither has a peer without an address."""
    quota = ConnectionQuota(64, ["10.0.0.0/8", "::1", "unix"])
    assert entered(quota, host, 70) == 64


@pytest.mark.parametrize("host", ["203.0.113.1", "127.0.0.1"])
def test_a_place_that_is_left_is_free_again(host: str) -> None:
    """Nothing is kept of who has left, so that a busy year does not fill the memory."""
    quota = ConnectionQuota(8, ["127.0.0.1"])
    for _ in range(100):
        assert entered(quota, host, 9) == 8
        for _ in range(8):
            quota.leave(host)
    assert (quota.present, quota.room, len(quota._held)) == (0, 8, 0)


def fal_only(host: str) -> bool:
    return host == FAL


def test_the_last_places_are_for_those_who_are_expected() -> None:
    """Eight addresses with whole shares leave fal a sixteenth of the places, as often as they come (fault 31)."""
    quota = ConnectionQuota(160, expects=fal_only)
    for round_ in range(3):
        for stranger in range(9):
            entered(quota, f"203.0.113.{stranger}", 50)
        assert quota.present == 150
        assert quota.enter(f"198.51.100.{round_}") == "full"
        assert quota.enter(FAL) is None
        quota.leave(FAL)
        quota.leave("203.0.113.0")


def test_whoever_is_expected_keeps_to_a_share_and_to_the_total() -> None:
    """The kept places are no way around the share of one address, nor around the total."""
    quota = ConnectionQuota(160, ["10.0.0.0/8"], expects=fal_only)
    assert entered(quota, FAL, 50) == quota.share == 20
    assert quota.enter(FAL) == "share"
    assert entered(quota, "10.0.0.1", 200) == 140
    assert quota.enter(FAL) == "full"
    quota.leave(FAL)
    assert quota.enter("203.0.113.1") == "full"
    assert quota.enter(FAL) is None


@pytest.mark.parametrize("host", ["10.1.2.3", "::1", ""])
def test_the_last_places_are_for_a_proxy_too(host: str) -> None:
    """Behind a proxy every delivery comes from it: it is not kept out of the last places, whoever is expected."""
    quota = ConnectionQuota(160, ["10.0.0.0/8", "::1"], expects=fal_only)
    assert entered(quota, host, 200) == 160


def test_a_small_house_keeps_no_place() -> None:
    """With fewer than sixteen places there is none to spare: strangers, an operator among them, may take all."""
    quota = ConnectionQuota(15, expects=fal_only)
    assert entered(quota, "203.0.113.1", 20) + entered(quota, "203.0.113.2", 20) == 15


def test_a_list_that_changes_counts_at_once() -> None:
    """Whoever is listed meanwhile is let in, though the address was refused a moment before."""
    listed: set[str] = set()
    quota = ConnectionQuota(160, expects=listed.__contains__)
    for stranger in range(8):
        entered(quota, f"203.0.113.{stranger}", 20)
    assert quota.enter(FAL) == "full"
    listed.add(FAL)
    assert quota.enter(FAL) is None


def test_a_network_may_be_named_by_an_address_in_it() -> None:
    """`10.0.0.7/8` spares all of 10.0.0.0/8; `unix`, which may stand beside it, names nobody."""
    quota = ConnectionQuota(16, ["unix", "10.0.0.7/8"])
    assert entered(quota, "10.200.3.4", 20) == 16
