"""Prove that the database takes a write: what readiness means."""

import asyncio
from datetime import datetime, timedelta

from app.db import chores
from app.db.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.flows.ports import Clock

NAME = "probe"
DEADLINE = 2.0  # s; a database slower than this makes the server not ready
FRESH = timedelta(seconds=1)  # how long a result is reused: at most one write a second, however many ask


class WriteCheck:
    """Writes one row; reading proves neither a free disk nor a writable one."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._turn = asyncio.Lock()
        self._at: datetime | None = None
        self._trouble: str | None = None
        self._late: asyncio.Task[str | None] | None = None  # a write that has not ended in time

    async def __call__(self) -> None:
        """Raise DatabaseUnavailable unless a write succeeded within the last second."""
        async with self._turn:
            now = self._clock.now()
            if self._at is None or not timedelta(0) <= now - self._at < FRESH:
                self._trouble = await self._try(now)
                self._at = now
        if self._trouble is not None:
            raise DatabaseUnavailable(self._trouble)

    async def _try(self, now: datetime) -> str | None:
        # A write on a hung database takes up to ten seconds to be given up: who asks need not wait for that, and no
        # other is begun meanwhile, for each would hold a thread.
        if self._late is not None and not (await asyncio.wait([self._late], timeout=DEADLINE))[0]:
            return f"no write within {DEADLINE:.0f} s"
        write = asyncio.create_task(self._write(now))
        if not (await asyncio.wait([write], timeout=DEADLINE))[0]:
            self._late = write
            return f"no write within {DEADLINE:.0f} s"
        return await write

    async def _write(self, now: datetime) -> str | None:
        try:
            await self._database.write(chores.touch, NAME, now)
        except DatabaseUnavailable as error:
            return str(error)
        return None
