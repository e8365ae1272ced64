"""What of a body is kept, and how much all of them may take (fault 30)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest
from starlette.types import Message

from app.domain.errors import DeliveryRefused
from app.domain.quotas import MEMORY, MEMORY_SHARES, MemoryQuota
from app.routers.body import BLOCK, PROBE, BodiesCrowded, HeldBody

pytestmark = pytest.mark.anyio

MIB = 1 << 20
ONE, OTHER, FAL = "203.0.113.7", "203.0.113.8", "34.123.59.101"
PIECES = {
    "none": [b""],
    "one": [b"whole"],
    "empty ones": [b"", b"", b"x", b""],
    "two": [b"abc", b"def"],
    "single bytes": [bytes([n % 251]) for n in range(5000)],
    "blocks": [b"a" * BLOCK, b"b" * (BLOCK - 1), b"c", b"d"],
    "a large one first": [b"e" * 3 * BLOCK, b"f" * 7],
}


async def arriving(pieces: Sequence[bytes]) -> AsyncIterator[Message]:
    for piece in pieces[:-1]:
        yield {"type": "http.request", "body": piece, "more_body": True}
    yield {"type": "http.request", "body": pieces[-1], "more_body": False}
    yield {"type": "http.disconnect"}


async def read(memory: MemoryQuota, pieces: Sequence[bytes], kept: int | None = None, address: str = ONE) -> bytes:
    with HeldBody(memory, address, is_expected=False) as held:
        return await held.read([], arriving(pieces).__anext__, memory.limit if kept is None else kept)


@pytest.mark.parametrize("pieces", PIECES.values(), ids=list(PIECES))
async def test_a_body_is_what_its_pieces_are(pieces: list[bytes]) -> None:
    """However it is cut on the way, the bytes are the same, and their memory is given back."""
    memory = MemoryQuota(MIB)
    assert await read(memory, pieces) == b"".join(pieces)
    assert (memory.present, len(memory._held)) == (0, 0)


@pytest.mark.parametrize("piece", [1000, 65_536, MIB])
async def test_of_an_unsigned_body_the_beginning_is_kept(piece: int) -> None:
    """A mebibyte that can be no delivery takes 8 KiB of memory (fault 30)."""
    memory = MemoryQuota(MIB)
    whole = bytes(range(256)) * (MIB // 256)
    pieces = [whole[at : at + piece] for at in range(0, MIB, piece)]
    highest = 0

    async def watched() -> AsyncIterator[Message]:
        nonlocal highest
        async for message in arriving(pieces):
            highest = max(highest, memory.present)
            yield message

    with HeldBody(memory, ONE, is_expected=False) as held:
        assert await held.read([], watched().__anext__, PROBE) == whole[:PROBE]
        assert max(highest, memory.present) == PROBE


async def test_what_is_not_kept_counts_towards_the_limit() -> None:
    """An endless unsigned body is too large like any other (fault 30)."""
    with pytest.raises(DeliveryRefused, match="larger than 1000 bytes") as caught:
        await read(MemoryQuota(1000), [b"x" * 600, b"y" * 600], kept=10)
    assert caught.value.code == "body_too_large"


@pytest.mark.parametrize("declared", [b"1001", b"9" * 400])
async def test_a_declared_length_is_refused_before_a_byte_is_read(declared: bytes) -> None:
    """A Content-Length over the limit needs no body to be refused (fault 30)."""
    with (
        pytest.raises(DeliveryRefused, match="larger than"),
        HeldBody(MemoryQuota(1000), ONE, is_expected=True) as held,
    ):
        await held.read([(b"content-length", declared)], arriving([b""]).__anext__, 1000)


async def test_a_broken_off_body_gives_its_memory_back() -> None:
    """Whoever hangs up in the middle leaves nothing behind."""
    memory = MemoryQuota(MIB)

    async def breaking() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": b"half", "more_body": True}
        yield {"type": "http.disconnect"}

    with pytest.raises(DeliveryRefused, match="connection ended"), HeldBody(memory, ONE, is_expected=False) as held:
        await held.read([], breaking().__anext__, MIB)
    assert (memory.present, len(memory._held)) == (0, 0)


def crowd(memory: MemoryQuota, addresses: Sequence[str], *, is_expected: bool = False) -> int:
    """Let each address take all that it is given, a mebibyte at a time; return how much that was."""
    before = memory.present
    for address in addresses:
        held = HeldBody(memory, address, is_expected=is_expected)
        with suppress(BodiesCrowded):
            while True:
                held._count(MIB)
    return memory.present - before


def test_one_address_has_its_share() -> None:
    """A 32nd of the memory for one address, an IPv6 /64 included; the next one is not affected (fault 30)."""
    memory = MemoryQuota(MIB)
    assert crowd(memory, [ONE]) == MEMORY // MEMORY_SHARES == 2 * MIB
    assert crowd(memory, [OTHER]) == 2 * MIB
    assert crowd(memory, ["2001:db8::1", "2001:db8::2"]) == 2 * MIB


def test_an_address_of_fal_s_has_no_larger_share() -> None:
    """One address of fal's has the same: two of the largest bodies, or hundreds as fal really sends (fault 62)."""
    assert crowd(MemoryQuota(MIB), [FAL], is_expected=True) == 2 * MIB


def test_strangers_leave_half_to_fal() -> None:
    """However many strangers there are, half of the memory is for signed bodies from fal's addresses (fault 30)."""
    memory = MemoryQuota(MIB)
    assert crowd(memory, [f"203.0.113.{n}" for n in range(100)]) == MEMORY // 2
    assert crowd(memory, [FAL], is_expected=True) == 2 * MIB
    assert crowd(memory, [f"198.51.100.{n}" for n in range(100)], is_expected=True) == MEMORY // 2 - 2 * MIB
    assert memory.present == MEMORY


async def test_a_refused_body_gives_back_what_it_had() -> None:
    """A body that is refused half-way frees its half, so that the crowd ends by itself."""
    memory = MemoryQuota(MIB)
    with HeldBody(memory, ONE, is_expected=False) as other:
        other._count(memory.share - 10)
        with pytest.raises(BodiesCrowded):
            await read(memory, [b"x" * 10, b"y"])
        assert memory.present == memory.share - 10
        assert await read(memory, [b"x" * 10]) == b"x" * 10
    assert memory.present == 0


@pytest.mark.parametrize("limit", [1024, MIB, 64 * MIB])
def test_the_largest_body_always_fits(limit: int) -> None:
    """Whatever MAX_BODY_BYTES says, a body of that size is within the share of one stranger."""
    memory = MemoryQuota(limit)
    with HeldBody(memory, ONE, is_expected=False) as held:
        held._count(limit)
    assert memory.limit <= memory.share <= memory.for_strangers < memory.most
