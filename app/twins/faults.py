"""What both twins share: a log of the calls, ways to misbehave on request, and a loopback server."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.twins.serving import serve


@dataclass(frozen=True, slots=True)
class Instead:
    """Give this answer instead of the right one. `effective`: what was asked for is done all the same."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    effective: bool = False

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


@dataclass(slots=True)
class TwinCall:
    """One request that reached a twin, without its secrets.

    `at` is in Unix seconds, `name` fal's route or the Bot API's method, `status` None until (unless) it is answered.
    """

    at: float
    name: str
    path: str = ""
    request_id: str | None = None
    chat_id: int | None = None
    status: int | None = None


class Twin:
    """A local service. `clock` (Unix seconds) also dates its answers; `sleep` is how slow answers wait.

    `calls` is the log; GET /_twin/log tells it to other processes.
    """

    def __init__(
        self, routes: Sequence[Route], clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.calls: list[TwinCall] = []
        self.app = Starlette(routes=[Route("/_twin/log", self._tell), *routes])
        self._clock = clock
        self._sleep = sleep
        self._released = asyncio.Event()

    def serve(self, port: int = 0) -> AbstractAsyncContextManager[str]:
        """Serve on loopback; `async with twin.serve() as base_url`."""
        return serve(self.app, port=port, before_stop=self.release)

    def release(self) -> None:
        """Let every hung request end with 503; whoever comes later hangs again."""
        self._released.set()
        self._released = asyncio.Event()

    def log(self) -> dict[str, Any]:
        """Return what the twin has seen, as /_twin/log tells it."""
        return {"calls": self.calls}

    async def _tell(self, _: Request) -> Response:
        return json_response(200, orjson.dumps(self.log()))

    def _note(self, name: str, **more: Any) -> TwinCall:
        self.calls.append(TwinCall(self._clock(), name, **more))
        return self.calls[-1]

    async def _answer(self, call: TwinCall, fault: Fault | None, right: Callable[[], Response]) -> Response:
        """Return what `fault` makes of the right answer; `right` has its effect only where the fault lets it."""
        match fault:
            case Instead():
                if fault.effective:
                    right()
                response = fault.response()
            case Hang(effective):
                if effective:
                    right()
                await self._released.wait()
                response = Response(status_code=503)
            case _:
                if fault is not None:
                    await self._sleep(fault.seconds)
                response = right()
        response.headers["date"] = formatdate(self._clock(), usegmt=True)
        call.status = response.status_code
        return response


def json_response(status: int, body: bytes) -> Response:
    """Return an answer whose body is JSON already."""
    return Response(body, status, media_type="application/json")
