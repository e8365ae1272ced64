"""Finished jobs are held to their rows: what others spoilt is applied once more, in silence.

A chore of one replica. It changes no row of the bot's itself: the delivery that ended the job is made due again, and
goes the way of all deliveries.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

import structlog

from app.db import chores, drift
from app.db.engine import Connection, Database
from app.db.trainings import BotTables
from app.domain.delivery import Delivery, Source
from app.domain.drift import DriftedJob
from app.domain.invented import Invented
from app.fal.result_body import restored
from app.flows.ports import Clock

log = structlog.get_logger("app.webhook")

NAME = "drift"
SLOWEST = timedelta(minutes=1)  # between two looks
LEASE = timedelta(seconds=55)


@dataclass(eq=False, repr=False, slots=True)
class Mend:
    """Find drift and mend it, `every` so often, once a minute at least; `wake_apply` is called when one is due."""

    database: Database
    bot_tables: BotTables
    clock: Clock
    invented: Invented
    _: KW_ONLY
    every: timedelta
    wake_apply: Callable[[], None]

    def __post_init__(self) -> None:
        self.every = min(self.every, SLOWEST)

    async def __call__(self) -> int:
        """Run the chore if it is due; return how many jobs are mended. Raises DatabaseUnavailable."""
        now = self.clock.now()
        if not await self.database.write(chores.claim, NAME, now=now, lease=LEASE, every=self.every):
            return 0
        found = await self.database.read(drift.find, self.bot_tables, self.invented, now=now)
        due = [job for job in found if (rest := job.rests_until()) is None or rest <= now]
        mended = await self.database.write(self._mend, due, now)
        for job in mended:
            log.warning(
                "job.drifted",
                request_id=job.request_id,
                avatar=job.subject,
                found=job.found,
                outcome=job.outcome,
                times=job.drifts + 1,
            )
        if mended:
            self.wake_apply()
        return len(mended)

    def _mend(self, connection: Connection, due: Sequence[DriftedJob], now: datetime) -> list[DriftedJob]:
        mended = drift.mend(connection, due, lambda job: _restored(job, now), now)
        chores.finish(connection, NAME, now=now, every=self.every, reason="done")
        return mended


def _restored(job: DriftedJob, now: datetime) -> Delivery:
    """Make the delivery that says what the job keeps of its end."""
    body = restored(job.request_id, job.outcome, job.artifacts, job.detail)
    return Delivery(job.request_id, body, hashlib.sha256(body).hexdigest(), {}, now, Source.RECONCILE)
