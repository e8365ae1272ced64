"""The application's startup and shutdown, with a limit on how long the shutdown may take."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import structlog
from uvicorn.lifespan.on import LifespanOn, LifespanSendMessage

from app.domain.errors import StartRefused

log = structlog.get_logger(__name__)

LIFESPAN_END = 3.0  # seconds that the application's shutdown has at least, however long requests took
SHUTDOWN_BY = 8.5  # seconds after the stop began, until which it may take longer than LIFESPAN_END


HOOKS = "hooks"  # where the lifespan's state holds them


Keep = Callable[[str, int, str | None, str], None]


async def _ready() -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the application tells the server that runs it, under HOOKS in the state that its lifespan yields.

    The supervisor hears of `is_ready` and `is_alive`. `on_stop` is called when the stop begins, while requests are
    still answered. `is_expected` tells by an address for whom the last places are kept (None: for nobody). `is_settled`
    tells whether the first look at what others publish is over, so that the banner can say what is missing.
    `refusals` counts by their code what was refused, here before it became a request and by the application after;
    `keep` takes each that a log line is written about: code, status, address, detail.
    """

    is_ready: Callable[[], Awaitable[bool]] = _ready
    is_alive: Callable[[], bool] = lambda: True
    on_stop: Callable[[], None] = lambda: None
    is_expected: Callable[[str], bool] | None = None
    is_settled: Callable[[], Awaitable[bool]] = _ready
    refusals: Counter[str] = field(default_factory=Counter)
    keep: Keep = lambda _code, _status, _address, _detail: None


class Lifespan(LifespanOn):
    """uvicorn's lifespan with a limited shutdown; `refused` is the StartRefused that the application raised, if any."""

    refused: StartRefused | None = None
    stop_began: float | None = None  # by the loop's clock
    _task: "asyncio.Task[None] | None" = None  # uvicorn keeps none, and the loop's reference is a weak one

    @property
    def hooks(self) -> Hooks:
        """What the application yielded; known once it has started."""
        hooks: Hooks = self.state.get(HOOKS, Hooks())
        return hooks

    async def main(self) -> None:
        """Run the application's lifespan; the task is kept, so that the collector cannot end it half-way."""
        self._task = asyncio.current_task()
        await super().main()

    async def send(self, message: LifespanSendMessage) -> None:
        """Keep a StartRefused: Starlette sends startup.failed while it handles the exception."""
        cause = sys.exc_info()[1]
        if message["type"] == "lifespan.startup.failed" and isinstance(cause, StartRefused):
            self.refused = cause
            message = {"type": "lifespan.startup.failed", "message": ""}
        await super().send(message)

    async def shutdown(self) -> None:
        """Shut the application down; log and go on when that takes too long."""
        now = asyncio.get_running_loop().time()
        began = now if self.stop_began is None else self.stop_began
        left = max(LIFESPAN_END, began + SHUTDOWN_BY - now)
        try:
            async with asyncio.timeout(left):
                await super().shutdown()
        except TimeoutError:
            log.warning("server.farewell_too_slow", seconds=left)
