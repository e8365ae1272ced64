"""Ways in which a twin misbehaves on request."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.responses import Response

Sleep = Callable[[float], Awaitable[None]]
"""Waits that many seconds."""


@dataclass(frozen=True, slots=True)
class Instead:
    """Give this answer instead of the right one."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """Return the answer."""
        return Response(self.body, self.status, dict(self.headers), self.content_type)


@dataclass(frozen=True, slots=True)
class Slow:
    """Give the right answer, `seconds` late."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer. `effective`: what was asked for is done all the same (delivered, but no answer)."""

    effective: bool = False


Fault = Instead | Slow | Hang


class Latch:
    """Where hung requests wait. Opening it lets them end with a 503, so that a server can stop without killing them."""

    def __init__(self) -> None:
        """Start shut."""
        self._event = asyncio.Event()

    def open(self) -> None:
        """Release whoever waits; whoever comes later waits again."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self) -> Response:
        """Wait until somebody opens the latch."""
        await self._event.wait()
        return Response(status_code=503)


async def answer(fault: Fault | None, right: Callable[[], Response], latch: Latch, sleep: Sleep) -> Response:
    """Return what `fault` makes of the right answer; `right` has its effect only where the fault lets it."""
    match fault:
        case None:
            return right()
        case Instead():
            return fault.response()
        case Slow(seconds):
            await sleep(seconds)
            return right()
        case Hang(effective):
            if effective:
                right()
            return await latch.wait()
