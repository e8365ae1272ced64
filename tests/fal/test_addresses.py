import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.fal.addresses import BUILT_IN, RANGE_LIMIT, REMEMBERED, Addresses, parse_ranges
from app.http_client.failures import HttpFailed
from tests.http_fake import Asked, Given, http_of

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
URL = "https://api.fal.ai/v1/meta"


class Meta:
    """fal's meta endpoint: answers with `answer`, or raises it."""

    def __init__(self, answer: object = None, status: int = 200) -> None:
        self.answer = answer
        self.status = status
        self.now = NOW
        self.calls = 0

    def __call__(self, request: Asked) -> Given:
        self.calls += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return Given(self.status, content=body)

    def addresses(self, folder: Path, fixed: list[str] | None = None) -> Addresses:
        client = http_of(self)
        return Addresses(URL, folder / "addresses.json", client, lambda: self.now, fixed)


@pytest.fixture
def built_in(tmp_path: Path) -> Addresses:
    return Meta().addresses(tmp_path)


@pytest.mark.parametrize("entry", BUILT_IN)
def test_built_in(built_in: Addresses, entry: str) -> None:
    """Each of the 15 documented addresses may deliver before anything was fetched."""
    assert len(BUILT_IN) == 15
    assert built_in.allows(entry.removesuffix("/32"))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::ffff:34.123.59.101"])
def test_loopback_and_mapped(built_in: Addresses, address: str) -> None:
    """Loopback is never filtered, and an IPv4 address in IPv6 clothes is judged as IPv4."""
    assert built_in.allows(address)


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "not-an-ip",
        "34.123.59.102",
        "10.0.0.1",
        "0.0.0.0",
        "34.123.59.101/32",
        " 34.123.59.101",
        "34.123.59.101:443",
        "34.123.059.101",
        "0x22.0x7b.0x3b.0x65",
        "578501477",
        "2001:db8::1",
        "::ffff:1.2.3.4",
        "::1%eth0",
        "localhost",
        "34.123.59.101\0",
        "９.9.9.9",
    ],
)
def test_stranger(built_in: Addresses, address: str | None) -> None:
    """Whoever is not listed, and whatever is not an IP address, may not deliver, however often it is asked."""
    assert not built_in.allows(address)
    assert not built_in.allows(address)


def test_bounded_memory(built_in: Addresses) -> None:
    """However many strangers knock, only a bounded number of verdicts is remembered."""
    for n in range(REMEMBERED + 10):
        built_in.allows(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}")
    assert len(built_in._verdicts) <= REMEMBERED
    assert built_in.allows("34.123.59.101")


async def test_fixed_list(tmp_path: Path) -> None:
    """ALLOWED_IPS replaces fal's list for good: neither the built-in nor a fetched list counts."""
    meta = Meta({"webhook_ip_ranges": ["198.51.100.0/24"]})
    addresses = meta.addresses(tmp_path, ["203.0.113.0/24", "2001:db8::/32", "192.0.2.7"])
    await addresses.load()
    assert await addresses.refresh()
    assert meta.calls == 0
    assert addresses.age() is None
    assert [addresses.allows(a) for a in ("203.0.113.9", "2001:db8::9", "192.0.2.7", "127.0.0.1")] == [True] * 4
    assert not addresses.allows("34.123.59.101")
    assert not addresses.allows("198.51.100.1")


async def test_empty_fixed_list(tmp_path: Path) -> None:
    """An empty ALLOWED_IPS means fal's list, not nobody."""
    assert Meta().addresses(tmp_path, []).allows("34.123.59.101")


async def test_refresh(tmp_path: Path) -> None:
    """A fetched list replaces the built-in one, verdicts already given included."""
    meta = Meta({"webhook_ip_ranges": ["198.51.100.0/24", "junk", 5, None, "999.1.1.1/32"]})
    addresses = meta.addresses(tmp_path)
    await addresses.load()
    assert not addresses.allows("198.51.100.1")
    assert addresses.age() is None
    assert await addresses.refresh()
    assert addresses.allows("198.51.100.1")
    assert not addresses.allows("34.123.59.101")
    meta.now += timedelta(hours=3)
    assert addresses.age() == timedelta(hours=3)
    meta.now -= timedelta(hours=9)
    assert addresses.age() == timedelta(0)


async def test_copy_on_disk(tmp_path: Path) -> None:
    """After a restart without a network the last fetched list is still known."""
    assert await Meta({"webhook_ip_ranges": ["198.51.100.0/24"]}).addresses(tmp_path).refresh()
    later = Meta(HttpFailed("ConnectError"))
    later.now += timedelta(days=40)
    addresses = later.addresses(tmp_path)
    await addresses.load()
    assert addresses.allows("198.51.100.1")
    assert addresses.age() == timedelta(days=40)
    assert not await addresses.refresh()
    assert addresses.allows("198.51.100.1")


@pytest.mark.parametrize(
    "copy", [b"", b"{", b"[]", b'{"fetched_at": "2026-11-22T00:00:00Z", "webhook_ip_ranges": ["0.0.0.0/0"]}', b"\xff"]
)
async def test_damaged_copy(tmp_path: Path, copy: bytes) -> None:
    """A damaged copy on disk is ignored and the built-in list stays."""
    (tmp_path / "addresses.json").write_bytes(copy)
    addresses = Meta().addresses(tmp_path)
    await addresses.load()
    assert addresses.allows("34.123.59.101")
    assert addresses.age() is None


ABSURD: list[object] = [
    None,
    "34.1.1.1/32",
    {},
    [],
    ["junk"],
    [7],
    ["0.0.0.0/0"],
    ["34.1.1.1/32", "::/0"],
    ["34.0.0.0/7"],
    ["2000::/16"],
    [f"34.1.{n >> 8}.{n & 255}/32" for n in range(RANGE_LIMIT + 1)],
]


@pytest.mark.parametrize("entries", ABSURD, ids=lambda e: repr(e)[:40])
async def test_absurd_list(tmp_path: Path, entries: object) -> None:
    """An empty, endless or boundless list is not believed and the last good one stays."""
    assert parse_ranges(entries) == ()
    meta = Meta({"webhook_ip_ranges": entries})
    addresses = meta.addresses(tmp_path)
    assert not await addresses.refresh()
    assert addresses.allows("34.123.59.101")
    assert not (tmp_path / "addresses.json").exists()


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ({"error": {"type": "rate_limit"}}, 429),
        ({"webhook_ip_ranges": ["198.51.100.0/24"]}, 500),
        ({"webhook_ip_ranges": ["198.51.100.0/24"]}, 302),
        (b"<html>", 200),
        (b"[]", 200),
        (b" " * 300_000, 200),
        (HttpFailed("ReadTimeout", has_left=True), 200),
        (HttpFailed("ConnectError"), 200),
    ],
)
async def test_fal_down(tmp_path: Path, answer: object, status: int) -> None:
    """Whatever fal answers instead of a list, the last good one stays."""
    addresses = Meta(answer, status).addresses(tmp_path)
    assert not await addresses.refresh()
    assert addresses.allows("34.123.59.101")


async def test_unwritable_copy(tmp_path: Path) -> None:
    """A copy that cannot be written costs the copy, not the list."""
    (tmp_path / "addresses.json").mkdir()
    addresses = Meta({"webhook_ip_ranges": ["198.51.100.0/24"]}).addresses(tmp_path)
    assert await addresses.refresh()
    assert addresses.allows("198.51.100.1")
