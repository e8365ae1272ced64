"""Bodies: one within its limit, and all unfinished requests together within the memory set aside for them."""

from collections import Counter
from functools import lru_cache
from types import TracebackType
from typing import Self

from starlette.types import Receive

from app.domain.errors import DeliveryRefused, Unavailable
from app.domain.network import neighbourhood

MIB = 1 << 20
ALL = 64 * MIB  # of the 768 MiB at which systemd begins to slow the server down
SHARES = 16  # one stranger's address may have the sixteenth part of it
SHARES_EXPECTED = 4  # and one of fal's the fourth: all it has to say may come from there at once
PROBE = 8 * 1024  # bytes of an unsigned body; an operator's probe has twenty
BLOCK = 16 * 1024  # bytes; in such pieces a body lies in memory until it is whole
KNOWN_ADDRESSES = 1024


class BodiesCrowded(Unavailable):
    """The memory set aside for bodies, or the caller's share of it, is full; a moment later it is not."""

    code = "bodies_crowded"


class Bodies:
    """Reads bodies of at most `limit` bytes, and counts what is in memory: 64 MiB of it, more where `limit` is large.

    One address has a sixteenth of that. Expected is what looks signed and comes from fal's addresses: one of these has
    a quarter. All others share half of the memory, so that strangers, however many, leave room for fal.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.all = max(ALL, 4 * limit)
        self.share = max(self.all // SHARES, limit)
        self.share_of_expected = max(self.all // SHARES_EXPECTED, limit)
        self.for_strangers = self.all // 2
        self.present = 0
        self.of_strangers = 0
        self._held: Counter[str] = Counter()
        self._name = lru_cache(KNOWN_ADDRESSES)(neighbourhood)

    def hold(self, size: int) -> bool:
        """Count a whole body of fal's that is about to be stored; False where there is no memory set aside for it."""
        if self.present + size > self.all:
            return False
        self.present += size
        return True

    def release(self, size: int) -> None:
        """Give back what `hold` took."""
        self.present -= size

    def of(self, address: str | None, *, is_expected: bool) -> "Held":
        """Begin one request's account; leaving its block gives the memory back."""
        return Held(self, self._name(address), is_expected)

    def take(self, name: str, is_expected: bool, size: int) -> None:
        """Count `size` more bytes for a neighbourhood. Raises BodiesCrowded and counts nothing."""
        if self._held[name] + size > (self.share_of_expected if is_expected else self.share):
            raise BodiesCrowded("unfinished bodies of this address fill its share of the memory")
        if self.present + size > self.all or not (is_expected or self.of_strangers + size <= self.for_strangers):
            raise BodiesCrowded("unfinished bodies fill the memory set aside for them")
        self._held[name] += size
        self.present += size
        if not is_expected:
            self.of_strangers += size

    def give_back(self, name: str, is_expected: bool, size: int) -> None:
        """Count `size` bytes less."""
        self._held[name] -= size
        if not self._held[name]:
            del self._held[name]
        self.present -= size
        if not is_expected:
            self.of_strangers -= size


class Held:
    """The bytes that one request holds until it is answered."""

    __slots__ = ("_bodies", "_is_expected", "_name", "_size")

    def __init__(self, bodies: Bodies, name: str, is_expected: bool) -> None:
        self._bodies = bodies
        self._name = name
        self._is_expected = is_expected
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bodies.give_back(self._name, self._is_expected, self._size)

    async def read(self, headers: list[tuple[bytes, bytes]], receive: Receive, kept: int) -> bytes:
        """Read the raw body and return its first `kept` bytes; the rest only counts towards the limit.

        Raises DeliveryRefused (too large, or cut off) and BodiesCrowded.
        """
        limit = self._bodies.limit
        for name, value in headers:
            # A length of more digits than any body we take need not become a number.
            if name == b"content-length" and (len(value) > 12 or int(value) > limit):  # noqa: PLR2004  as said above
                raise _too_large(limit)
        whole: list[bytes] = []
        last = bytearray()  # a list of single bytes would take forty times as much, one long array is moved as it grows
        size = held = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise DeliveryRefused(400, "body_incomplete", "the connection ended before the body did")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise _too_large(limit)
            part = chunk[: kept - held]
            held += len(part)
            self._count(len(part))
            is_last = not message.get("more_body", False)
            if is_last and held == len(part):
                return part
            last += part
            if is_last or len(last) >= BLOCK:
                whole.append(bytes(last))
                last.clear()
            if is_last:
                return b"".join(whole)

    def _count(self, size: int) -> None:
        self._bodies.take(self._name, self._is_expected, size)
        self._size += size


def _too_large(limit: int) -> DeliveryRefused:
    return DeliveryRefused(413, "body_too_large", f"the body is larger than {limit} bytes")
