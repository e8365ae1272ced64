"""Totals for everybody who asks, at a bounded cost for the database."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from app.db import views
from app.db.engine import Database

CHEAP = 0.05  # s; the result of a count that takes longer is reused for PRICE times its duration
PRICE = 20.0  # anybody may ask, so counting a large table must not take more than 1/20 of the time


class Totals:
    """Counts once for all who ask at the same time, and at most a twentieth of the time. `elapsed` is in seconds."""

    def __init__(self, database: Database, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._elapsed = elapsed
        self._turn = asyncio.Lock()
        self._began = self._stands_until = float("-inf")
        self._found: dict[str, Any] = {}

    async def __call__(self) -> dict[str, Any]:
        """Return what `views.totals` does; of a large table as of a moment ago. Raises DatabaseUnavailable."""
        asked = self._elapsed()
        async with self._turn:
            if asked >= self._began and self._elapsed() >= self._stands_until:
                await self._count()
            return dict(self._found)

    async def _count(self) -> None:
        began = self._elapsed()
        self._found = await self._database.read(views.totals)
        ended = self._elapsed()
        self._began = began
        self._stands_until = ended + PRICE * (ended - began) if ended - began > CHEAP else ended
