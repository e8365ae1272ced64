"""What owners were promised, or must not hear yet → due when its time has come. Once a minute, on one replica."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

import structlog

from app.db import chores, job_facts, promises
from app.db.engine import Connection, Database
from app.db.promises import Waiting
from app.db.trainings import BotTables
from app.domain.alert import Condition
from app.flows.ports import Clock

log = structlog.get_logger("app.webhook")

NAME = "promises"
EVERY = timedelta(seconds=55)
LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the first half of a turn did, the promises that wait for the account, and whether a submission does."""

    released: int
    troubled: int
    waiting: Sequence[Waiting]
    is_back: bool
    is_refused: bool


@dataclass(eq=False, repr=False, slots=True)
class Promises:
    """Lets messages through that waited for the operator's alert, and keeps what was promised.

    "We will write when it works" is kept once fal has completed a training that was begun later, or `is_open` says that
    it works for our account. That is asked after a refused submission as well, so that its alert ends.
    """

    database: Database
    bot_tables: BotTables
    clock: Clock
    _: KW_ONLY
    is_open: Callable[[], Awaitable[bool]]
    wake_notify: Callable[[], None]

    async def __call__(self) -> int:
        """Take a turn if it is due; return how many messages it made due. Raises DatabaseUnavailable."""
        turn = await self.database.write(self._begin, self.clock.now())
        if turn is None:
            return 0
        kept, lapsed = 0, 0
        if (turn.waiting or turn.is_refused) and (turn.is_back or await self.is_open()):
            kept, lapsed = await self.database.write(self._keep, turn.waiting, self.clock.now())
        if due := turn.released + turn.troubled + kept:
            self.wake_notify()
        if due or lapsed:
            log.info("promises.moved", failures=turn.released, troubles=turn.troubled, kept=kept, lapsed=lapsed)
        return due

    def _begin(self, connection: Connection, now: datetime) -> _Turn | None:
        if not chores.claim(connection, NAME, now=now, lease=LEASE, every=EVERY):
            return None
        told = promises.told_alerts(connection)
        released = promises.release_failures(connection, is_told=Condition.ACCOUNT_LOCKED in told, now=now)
        troubled = promises.owe_trouble(connection, self.bot_tables, told, now)
        waiting = promises.waiting(connection, now)
        is_back = bool(waiting) and promises.has_succeeded_since(connection, waiting)
        is_refused = job_facts.is_refused(connection, now)
        chores.finish(connection, NAME, now=now, every=EVERY, reason="done")
        return _Turn(released, troubled, waiting, is_back, is_refused)

    def _keep(self, connection: Connection, waiting: Sequence[Waiting], now: datetime) -> tuple[int, int]:
        job_facts.served(connection, now)
        return promises.keep(connection, self.bot_tables, waiting, now) if waiting else (0, 0)
