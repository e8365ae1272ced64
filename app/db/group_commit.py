"""Group commit: everything that waits goes into one transaction and one fsync."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
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
BUSY_FOR = 1.0  # s
CONFLICT_TRIES = 3


class Group(Generic[Item, Result]):
    """Items that share a commit, and who waits for each of them."""

    def __init__(self, items: Sequence[Item] = (), futures: "Sequence[asyncio.Future[Result]]" = ()) -> None:
        self.items = list(items)
        self.futures = list(futures)
        self.timer: asyncio.TimerHandle | None = None

    def halves(self) -> "tuple[Group[Item, Result], Group[Item, Result]]":
        """Cut it in two."""
        half = len(self.items) // 2
        return Group(self.items[:half], self.futures[:half]), Group(self.items[half:], self.futures[half:])

    def fail(self, error: Exception) -> None:
        """Give the error to everybody who still waits."""
        for future in self.futures:
            if not future.done():
                future.set_exception(error)


class GroupCommit(Generic[Item, Result]):
    """One writer per process and kind of row.

    The future that `submit` returns is done once the transaction that holds the item is durable; when the database is
    unavailable, every submitter of the group learns it. While one group is being written the next one gathers, so the
    group grows with the load and nobody waits for a timer. An item that the database refuses costs only its own.
    Nobody waits longer than `deadline` seconds (None: as long as it takes): a group that was not begun by then never
    is, the end of one under way is unknown. `after` is called on the loop with the items and results of each group that
    was committed.
    `is_one_statement`: `write` makes exactly one statement on PostgreSQL, which needs no transaction around it.
    """

    def __init__(
        self,
        database: Database,
        write: Callable[[Connection, Sequence[Item]], Sequence[Result]],
        *,
        deadline: float | None = None,
        after: Callable[[Sequence[Item], Sequence[Result]], None] = lambda _items, _results: None,
        is_one_statement: bool = False,
    ) -> None:
        self._transact = database.statement if is_one_statement else database.write
        self._write = write
        self._deadline = deadline
        self._after = after
        self._waiting: deque[Group[Item, Result]] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._ended = False
        self._crowded_at = self._written_at = float("-inf")

    def submit(self, item: Item) -> "asyncio.Future[Result]":
        """Join the next commit. The future raises whatever the group raised; DatabaseUnavailable once `run` ended."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        if self._ended:
            future.set_exception(DatabaseUnavailable(STOPPING))
            return future
        if not self._waiting or len(self._waiting[-1].items) >= MAX_GROUP:
            group: Group[Item, Result] = Group()
            if self._deadline is not None:
                group.timer = loop.call_later(self._deadline, self._expire, group)
            self._waiting.append(group)
            self._wake.set()
        group = self._waiting[-1]
        group.items.append(item)
        group.futures.append(future)
        return future

    def is_crowded(self) -> bool:
        """Tell whether groups have been large lately: many wait for an answer, and what can wait should."""
        return asyncio.get_running_loop().time() - self._crowded_at < CROWDED_FOR

    def is_busy(self) -> bool:
        """Tell whether a group was written within BUSY_FOR: other writers then keep their transactions short."""
        return asyncio.get_running_loop().time() - self._written_at < BUSY_FOR

    def is_running(self) -> bool:
        """Tell whether what is submitted is written; a writer that was told to close counts as running."""
        return self._closing or not self._ended

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
            for group in self._waiting:
                group.fail(DatabaseUnavailable(STOPPING))

    async def _serve(self) -> None:
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                group = self._waiting.popleft()
                self._written_at = asyncio.get_running_loop().time()
                if len(group.items) >= CROWD:
                    self._crowded_at = self._written_at
                await self._write_group(group)
                if group.timer is not None:
                    group.timer.cancel()

    def _expire(self, group: Group[Item, Result]) -> None:
        if group in self._waiting:
            self._waiting.remove(group)
        group.fail(DatabaseUnavailable(f"not stored within {self._deadline:.0f} s"))

    async def _write_group(self, group: Group[Item, Result]) -> None:
        try:
            results = await self._commit(group.items)
        except DatabaseUnavailable as error:
            group.fail(error)
        except asyncio.CancelledError:
            group.fail(DatabaseUnavailable(STOPPING))
            raise
        except Exception as error:  # noqa: BLE001  the submitter gets it and decides
            if len(group.items) == 1:
                group.fail(error)
                return
            for half in group.halves():  # one of them is at fault: let it cost only its own
                await self._write_group(half)
        else:
            for future, result in zip(group.futures, results, strict=True):
                if not future.done():  # the submitter may have given up; its row is stored all the same
                    future.set_result(result)
            self._after(group.items, results)

    async def _commit(self, items: Sequence[Item]) -> Sequence[Result]:
        for _ in range(CONFLICT_TRIES - 1):
            try:
                return await self._transact(self._write, items)
            except DatabaseConflict:
                continue
        return await self._transact(self._write, items)
