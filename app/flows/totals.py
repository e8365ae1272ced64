"""Totals for everybody who asks."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from app.db import views
from app.db.engine import Database
from app.flows.ports import Clock


class Totals:
    """Looks once for all who ask at the same time: a crowd costs the database two looks. `elapsed` is in seconds."""

    def __init__(self, database: Database, clock: Clock, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._elapsed = elapsed
        self._turn = asyncio.Lock()
        self._began = float("-inf")
        self._found: dict[str, Any] = {}

    async def __call__(self) -> dict[str, Any]:
        """Return what `views.totals` does. Raises DatabaseUnavailable."""
        asked = self._elapsed()
        async with self._turn:
            if asked >= self._began:
                began = self._elapsed()
                self._found = await self._database.read(views.totals, self._clock.now())
                self._began = began
            return dict(self._found)
