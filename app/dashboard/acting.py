"""What acting on rows needs: the rehearsal, and acts under way."""

import asyncio
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial

import structlog

from app.dashboard.parts import DashboardParts
from app.db import rehearsing
from app.db.operator_queries import Queue
from app.db.rehearsing import RowStand
from app.domain.errors import DatabaseUnavailable
from app.domain.search import parse_search
from app.flows.act import BulkAct
from app.flows.operate import Operation

log = structlog.get_logger(__name__)

REMEMBERED = 50  # acts of this process that can still be looked at
AT_ONCE = 2.0  # s in which most acts are over, before the page is shown


async def rows_meant(
    parts: DashboardParts, queue: Queue, operation: Operation, text: str, row_id: int | None
) -> list[RowStand]:
    """Find the rows of a search, or the one of an id. Raises SearchRefused."""
    if row_id is not None:
        return await parts.database.write(rehearsing.stands, queue, [row_id])
    search = parse_search(text, queue.value, parts.clock.now())
    return await parts.database.read(
        partial(rehearsing.meant, is_redrive=operation is Operation.REDRIVE), queue, search
    )


@dataclass(slots=True)
class RunningAct:
    """An act, and what it was asked for."""

    act: BulkAct
    queue: Queue
    operation: Operation
    text: str
    is_over: bool = False
    is_broken: bool = False


class Acts:
    """The acts of this process, the newest last."""

    def __init__(self, parts: DashboardParts) -> None:
        self._parts = parts
        self._known: OrderedDict[str, RunningAct] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def find(self, name: str) -> RunningAct | None:
        """Find an act by its name; another process's is not known here."""
        return self._known.get(name)

    async def start(self, running: RunningAct) -> str:
        """Begin an act and wait a little for its end; return its name."""
        name = secrets.token_urlsafe(12)
        self._known[name] = running
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        task = asyncio.create_task(self._run(running), name="dashboard act")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait((task,), timeout=AT_ONCE)
        return name

    async def _run(self, running: RunningAct) -> None:
        def look() -> None:
            if self._parts.leaving.is_set():
                running.act.cancel()

        try:
            await running.act.run(look)
        except DatabaseUnavailable as error:
            running.is_broken = True
            log.warning("dashboard.act_broken", cause=str(error), done=running.act.done, total=running.act.total)
        finally:
            running.is_over = True
