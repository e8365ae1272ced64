"""Work beside a block: begun with it, and ended in order after it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

log = structlog.get_logger(__name__)

DRAIN = 1.0  # s that each background task may take at the stop; unfinished rows are due again after their lease


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], stop: Callable[[], None] | None) -> AsyncIterator[None]:
    """Run `work` beside the block; afterwards ask it to stop and give it DRAIN seconds, then cut it off.

    Without `stop` it is cut off at once.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_log_death)
    try:
        yield
    finally:
        if stop is not None:
            stop()
            await asyncio.wait([task], timeout=DRAIN)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _log_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("task.died", exc_info=error)
