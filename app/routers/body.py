"""Reading a body: within its limit, and within the memory that is set aside for all unfinished ones."""

from types import TracebackType
from typing import Self

from starlette.types import Receive

from app.domain.errors import DeliveryRefused, Unavailable
from app.domain.quotas import MemoryQuota

PROBE = 4 * 1024  # bytes of an unsigned body; an operator's probe has twenty
BLOCK = 16 * 1024  # bytes; pieces of a body are joined into blocks of this size until the body is complete


class BodiesCrowded(Unavailable):
    """The memory set aside for bodies, or the caller's share of it, is full; a moment later it is not."""

    code = "bodies_crowded"


class HeldBody:
    """The body of one request, which holds its memory until the block is left. `is_expected` as in MemoryQuota."""

    __slots__ = ("_address", "_is_expected", "_quota", "_size")

    def __init__(self, quota: MemoryQuota, address: str | None, *, is_expected: bool) -> None:
        self._quota = quota
        self._address = address
        self._is_expected = is_expected
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._quota.give_back(self._address, self._size)

    async def read(self, headers: list[tuple[bytes, bytes]], receive: Receive, kept: int) -> bytes:
        """Read the raw body and return its first `kept` bytes; the rest only counts towards the limit.

        Raises DeliveryRefused (too large, or cut off) and BodiesCrowded.
        """
        limit = self._quota.limit
        for name, value in headers:
            # A length of more digits than any body we take need not become a number.
            if name == b"content-length" and (len(value) > 12 or int(value) > limit):  # noqa: PLR2004  as said above
                raise _too_large(limit)
        whole: list[bytes] = []
        last = bytearray()  # a list of one-byte pieces takes 40 times the memory; one long array is copied as it grows
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
        match self._quota.take(self._address, size, is_expected=self._is_expected):
            case "share":
                raise BodiesCrowded("unfinished bodies of this address fill its share of the memory")
            case "full":
                raise BodiesCrowded("unfinished bodies fill the memory set aside for them")
        self._size += size


def _too_large(limit: int) -> DeliveryRefused:
    return DeliveryRefused(413, "body_too_large", f"the body is larger than {limit} bytes")
