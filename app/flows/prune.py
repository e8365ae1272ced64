"""Finished rows → forgotten after RETENTION_DAYS, in small batches, on one replica."""

from datetime import timedelta

import structlog

from app.db import chores, retention
from app.db.engine import Database
from app.flows.ports import Clock

log = structlog.get_logger(__name__)

NAME = "prune"
EVERY = timedelta(hours=1)
LEASE = timedelta(minutes=5)
BATCH = 500
BATCHES = 200  # in one tick; the rest waits for the next


class Prune:
    """Forget what is old enough."""

    def __init__(self, database: Database, clock: Clock, keep: timedelta) -> None:
        self._database = database
        self._clock = clock
        self._keep = keep

    async def __call__(self) -> int:
        """Run the chore if it is due; return how many rows were emptied. Each batch is a transaction of its own."""
        now = self._clock.now()
        if not await self._database.write(chores.claim, NAME, now=now, lease=LEASE, every=EVERY):
            return 0
        total = 0
        for _ in range(BATCHES):
            emptied = await self._database.write(retention.prune, now - self._keep, BATCH)
            total += emptied
            if not emptied:
                break
        await self._database.write(chores.finish, NAME, now=self._clock.now(), every=EVERY, reason="done")
        if total:
            log.info("retention.pruned", rows=total)
        return total
