"""What owners were promised, or must not hear yet → due when its time has come. Once a minute, on one replica."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from datetime import datetime, timedelta

import structlog

from app.db import chores, promises
from app.db.engine import Connection, Database
from app.db.promises import Waiting
from app.db.trainings import BotTables
from app.domain.alert import Condition
from app.domain.look import Unsaid
from app.fal.queue_answers import read_status
from app.flows.ports import Clock, FalQueue

log = structlog.get_logger("app.webhook")

NAME = "promises"
EVERY = timedelta(seconds=55)
LEASE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class _Turn:
    """What the first half of a turn did, and the promises that wait for the account."""

    released: int
    troubled: int
    waiting: Sequence[Waiting]
    is_back: bool


@dataclass(eq=False, repr=False, slots=True)
class Promises:
    """Lets messages through that waited for the operator's alert, and keeps what was promised.

    "We will write when it works" is kept once fal answers us again about the training that failed, or has completed one
    that was begun later. `endpoint`: where fal is asked.
    """

    database: Database
    bot_tables: BotTables
    fal: FalQueue
    clock: Clock
    _: KW_ONLY
    endpoint: str
    wake_notify: Callable[[], None]

    async def __call__(self) -> int:
        """Take a turn if it is due; return how many messages it made due. Raises DatabaseUnavailable."""
        turn = await self.database.write(self._begin, self.clock.now())
        if turn is None:
            return 0
        kept, lapsed = 0, 0
        if turn.waiting and (turn.is_back or await self._answers(turn.waiting[0].request_id)):
            kept, lapsed = await self.database.write(promises.keep, self.bot_tables, turn.waiting, self.clock.now())
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
        chores.finish(connection, NAME, now=now, every=EVERY, reason="done")
        return _Turn(released, troubled, waiting, is_back)

    async def _answers(self, request_id: str) -> bool:
        """Ask fal about a training that the account's state had ended; a locked account is told nothing of any."""
        said = read_status(await self.fal.status(self.endpoint, request_id))
        return not isinstance(said, Unsaid)
