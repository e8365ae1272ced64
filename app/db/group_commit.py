"""Group commit: everything that waits goes into one transaction and one fsync."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from sqlalchemy.engine import Connection

from app.db.engine import Database
from app.domain.errors import DatabaseConflict, DatabaseUnavailable

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_GROUP = 500
STOPPING = "the server is stopping"
CROWD = 4  # items in a group that mean that many wait
CROWDED_FOR = 0.1  # s
CONFLICT_TRIES = 3


class GroupCommit(Generic[Item, Result]):
    """One writer per process and kind of row.

    `submit` returns once the transaction that holds the item is durable; when the database is unavailable, every
    submitter of the group learns it. While one group is being written the next one gathers, so the group
    grows with the load and nobody waits for a timer. An item that the database refuses costs only its own.
    """

    def __init__(self, database: Database, write: Callable[[Connection, Sequence[Item]], Sequence[Result]]) -> None:
        self._database = database
        self._write = write
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._ended = False
        self._crowded_at = float("-inf")

    async def submit(self, item: Item) -> Result:
        """Wait until the item is committed. Raises whatever its group raised; DatabaseUnavailable once `run` ended."""
        if self._ended:
            raise DatabaseUnavailable(STOPPING)
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._wake.set()
        return await future

    def is_crowded(self) -> bool:
        """Tell whether groups have been large lately: many wait for an answer, and what can wait should."""
        return asyncio.get_running_loop().time() - self._crowded_at < CROWDED_FOR

    def close(self) -> None:
        """Let `run` return once nothing waits any more."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Write groups until closed; whoever still waits at the end learns it."""
        try:
            await self._serve()
        finally:
            self._ended = True
            _fail(self._waiting, DatabaseUnavailable(STOPPING))

    async def _serve(self) -> None:
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_GROUP))]
                if len(group) >= CROWD:
                    self._crowded_at = asyncio.get_running_loop().time()
                await self._write_group(group)

    async def _write_group(self, group: Sequence[tuple[Item, "asyncio.Future[Result]"]]) -> None:
        try:
            results = await self._commit([item for item, _ in group])
        except DatabaseUnavailable as error:
            _fail(group, error)
        except asyncio.CancelledError:
            _fail(group, DatabaseUnavailable(STOPPING))
            raise
        except Exception as error:  # noqa: BLE001  the submitter gets it and decides
            if len(group) == 1:
                _fail(group, error)
                return
            half = len(group) // 2  # one of them is at fault: let it cost only its own
            await self._write_group(group[:half])
            await self._write_group(group[half:])
        else:
            for (_, future), result in zip(group, results, strict=True):
                if not future.done():  # the submitter may have given up; its row is stored all the same
                    future.set_result(result)

    async def _commit(self, items: Sequence[Item]) -> Sequence[Result]:
        for _ in range(CONFLICT_TRIES - 1):
            try:
                return await self._database.write(self._write, items)
            except DatabaseConflict:
                continue
        return await self._database.write(self._write, items)


def _fail(group: Iterable[tuple[object, "asyncio.Future[Result]"]], error: Exception) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
