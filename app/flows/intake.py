"""The bot's trainings that nobody told us of → jobs, by our clock: their rows say nothing of when fal began."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

import structlog

from app.db import chores, drift, jobs
from app.db.engine import Connection, Database
from app.db.jobs import Expected
from app.db.trainings import BotTables
from app.domain.decision import NOTHING_INVENTED
from app.domain.invented import Invented
from app.domain.trainer import Trainer
from app.flows.ports import Clock

log = structlog.get_logger(__name__)

NAME = "intake"
LEASE = timedelta(minutes=1)
BATCH = 500  # jobs that share a commit
SLOWEST = timedelta(seconds=15)  # between two turns: rows are met soon, and the bot's table is read in one query
HISTORIC = timedelta(days=3)  # since the last change of a row that is met at the first start
OUTAGE = timedelta(minutes=2)  # since the last turn: nobody looked, and results may be about to expire


@dataclass(eq=False, repr=False, slots=True)
class Intake:
    """Takes in trainings under way. `after` is RECONCILE_AFTER; `every` its upper bound of a turn's interval.

    After an outage those too that the bot ended meanwhile with an `invented` artifact: fal may have the real one.
    """

    database: Database
    subjects: BotTables
    clock: Clock
    _: KW_ONLY
    endpoint_of: Callable[[Trainer | None], str]
    after: timedelta
    every: timedelta
    wake: Callable[[], None]
    invented: Invented = NOTHING_INVENTED

    def __post_init__(self) -> None:
        self.every = min(self.every, SLOWEST)

    async def __call__(self) -> int:
        """Take in what is new; return how many jobs that made. Raises DatabaseUnavailable."""
        taken, roused = await self.take_in()
        if taken:
            log.info("jobs.taken_in", jobs=taken)
        if roused:
            log.warning("jobs.roused", jobs=roused)
            self.wake()
        return taken

    async def take_in(self) -> tuple[int, int]:
        """Do one turn if it is due; return how many jobs are new, and how many were made due after an outage.

        Raises DatabaseUnavailable.
        One transaction, or one for each BATCH: thousands at once would hold SQLite's one writer for a second.
        """
        now = self.clock.now()
        found, is_outage, roused = await self.database.write(self._begin, now)
        for start in range(BATCH, len(found), BATCH):
            is_last = start + BATCH >= len(found)
            part = found[start : start + BATCH]
            roused = await self.database.write(self._go_on, part, now, is_last=is_last, is_outage=is_outage)
        return len(found), roused

    def _begin(self, connection: Connection, now: datetime) -> tuple[list[Expected], bool, int]:
        """Begin a turn if it is due, and end it where one BATCH is all.

        Returns what is new, of which the first BATCH is on record now, whether nobody looked for OUTAGE, and what
        `_go_on` returns.
        """
        last = chores.last_finished(connection, NAME)
        if not chores.claim(connection, NAME, now=now, lease=LEASE, every=self.every):
            return [], False, 0
        # Rows that are already old at the first start become historic: nobody waits for news of them. Where that turn
        # fails half way it is not recorded as finished, and the next turn still counts as the first.
        is_outage = last is not None and now - last > OUTAGE
        unmet = self.subjects.unmet(connection, old_before=now - HISTORIC)
        if is_outage:
            unmet += drift.unmet(connection, self.subjects, self.invented, old_before=now - HISTORIC)
        found = [
            Expected(
                one.request_id, one.avatar_id, self.endpoint_of(one.trainer), is_historic=last is None and one.is_old
            )
            for one in unmet
        ]
        is_last = len(found) <= BATCH
        return found, is_outage, self._go_on(connection, found[:BATCH], now, is_last=is_last, is_outage=is_outage)

    def _go_on(
        self, connection: Connection, found: Sequence[Expected], now: datetime, *, is_last: bool, is_outage: bool
    ) -> int:
        """Take in a part, and end the turn with the last one; return how many jobs were made due after an outage."""
        jobs.expect(connection, found, now=now, due_at=now + self.after)
        if not is_last:
            return 0
        chores.finish(connection, NAME, now=now, every=self.every, reason="done")
        return jobs.rouse(connection, now) if is_outage else 0
