"""The bot's trainings that nobody told us of → jobs, by our clock: their rows say nothing of when fal began."""

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from app.db import chores, jobs
from app.db.engine import Connection, Database
from app.db.jobs import Expected
from app.db.trainings import BotTables
from app.domain.trainer import Trainer
from app.flows.ports import Clock

log = structlog.get_logger(__name__)

NAME = "intake"
LEASE = timedelta(minutes=1)
SLOWEST = timedelta(seconds=15)  # between two turns: rows are met soon, and the bot's table is read in one query
HISTORIC = timedelta(days=3)  # since the last change of a row that is met at the first start
OUTAGE = timedelta(minutes=2)  # since the last turn: nobody looked, and results may be about to expire


class Intake:
    """Takes in trainings under way. `after` is RECONCILE_AFTER; `every` its upper bound of a turn's interval."""

    def __init__(
        self,
        database: Database,
        subjects: BotTables,
        clock: Clock,
        *,
        endpoint_of: Callable[[Trainer | None], str],
        after: timedelta,
        every: timedelta,
        wake: Callable[[], None],
    ) -> None:
        self._database = database
        self._subjects = subjects
        self._clock = clock
        self._endpoint_of = endpoint_of
        self._after = after
        self.every = min(every, SLOWEST)
        self._wake = wake

    async def __call__(self) -> int:
        """Take in what is new; return how many jobs that made. One transaction. Raises DatabaseUnavailable."""
        taken, roused = await self._database.write(self.take_in, self._clock.now())
        if taken:
            log.info("jobs.taken_in", jobs=taken)
        if roused:
            log.warning("jobs.roused", jobs=roused)
            self._wake()
        return taken

    def take_in(self, connection: Connection, now: datetime) -> tuple[int, int]:
        """Do one turn if it is due; return how many jobs are new, and how many were made due after an outage."""
        last = chores.last_finished(connection, NAME)
        if not chores.claim(connection, NAME, now=now, lease=LEASE, every=self.every):
            return 0, 0
        # Of what is already old at the first start nobody waits for news from us any more.
        unmet = self._subjects.unmet(connection, old_before=now - HISTORIC)
        found = [
            Expected(
                one.request_id, one.avatar_id, self._endpoint_of(one.trainer), is_historic=last is None and one.is_old
            )
            for one in unmet
        ]
        jobs.expect(connection, found, now=now, due_at=now + self._after)
        roused = jobs.rouse(connection, now) if last is not None and now - last > OUTAGE else 0
        chores.finish(connection, NAME, now=now, every=self.every, reason="done")
        return len(found), roused
