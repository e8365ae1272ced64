"""What acting on rows needs: the rehearsal, and acts under way."""

import asyncio
from collections import OrderedDict
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

REMEMBERED = 50  # acts of this process whose end is known here
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


class Acts:
    """The acts of this process; how far they are stands in the history, where every replica reads it."""

    def __init__(self, parts: DashboardParts) -> None:
        self._parts = parts
        self._broken: OrderedDict[str, None] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    def is_broken(self, name: str) -> bool:
        """Tell whether the database failed under an act of this process; another's is not known here."""
        return name in self._broken

    async def start(self, name: str, act: BulkAct) -> None:
        """Begin an act and wait a little for its end. Raises DatabaseUnavailable."""
        await act.note()
        task = asyncio.create_task(self._run(name, act), name="dashboard act")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        await asyncio.wait((task,), timeout=AT_ONCE)

    async def _run(self, name: str, act: BulkAct) -> None:
        def look() -> None:
            if self._parts.leaving.is_set():
                act.cancel()

        try:
            await act.run(look)
        except DatabaseUnavailable as error:
            self._broken[name] = None
            while len(self._broken) > REMEMBERED:
                self._broken.popitem(last=False)
            log.warning("dashboard.act_broken", cause=str(error), done=act.done, total=act.total)
