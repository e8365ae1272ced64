"""The application's start and farewell, and how long the farewell may take."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from app.domain.errors import StartRefused

log = structlog.get_logger(__name__)

LIFESPAN_END = 3.0  # seconds for the application's own farewell, and more where requests left some:
FAREWELL_BY = 8.5  # seconds after the stop began by which the application has said goodbye


HOOKS = "hooks"  # where the lifespan's state holds them


async def _ready() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the application tells the server that runs it, under HOOKS in the state that its lifespan yields.

    The supervisor hears of `is_ready` and `is_alive`. `on_stop` is called when the stop begins, while requests are
    still answered. `is_expected` tells by an address for whom the last places are kept (None: for nobody).
    """

    is_ready: Callable[[], Awaitable[bool]] = _ready
    is_alive: Callable[[], bool] = lambda: True
    on_stop: Callable[[], None] = lambda: None
    is_expected: Callable[[str], bool] | None = None


class Lifespan(LifespanOn):
    """The application's start and farewell; `refused` is why it would not start, when that was deliberate."""

    refused: StartRefused | None = None
    stop_began: float | None = None  # on the loop's clock

    @property
    def hooks(self) -> Hooks:
        """What the application yielded; known once it has started."""
        hooks: Hooks = self.state.get(HOOKS, Hooks())
        return hooks

    async def send(self, message: LifespanSendMessage) -> None:
        """Take the application's word; Starlette reports a failed start from inside its except clause."""
        cause = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and isinstance(cause, StartRefused):
            self.refused = cause
            message = {"type": "lifespan.startup.failed", "message": ""}
        await super().send(message)

    async def shutdown(self) -> None:
        """Let the application say goodbye, but not for ever."""
        now = asyncio.get_running_loop().time()
        began = now if self.stop_began is None else self.stop_began
        left = max(LIFESPAN_END, began + FAREWELL_BY - now)
        try:
            async with asyncio.timeout(left):
                await super().shutdown()
        except TimeoutError:
            log.warning("server.farewell_too_slow", seconds=left)
