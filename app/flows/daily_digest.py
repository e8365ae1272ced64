"""Once a day the operator hears what became of the trainings, and whom they failed."""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime

from app.db import alerts
from app.db.digest import sum_up
from app.db.engine import Connection, Database
from app.domain.notification import OPERATOR, DigestMessage, Owner
from app.flows.ports import Clock
from app.flows.watch import OperatorChat


@dataclass(eq=False, repr=False, slots=True)
class DailyDigest:
    """Owes one digest a day, in the hour `hour` of `local`'s clock, whichever replica comes first; None: never.

    The row's identity is the day, so that a restart or a second replica owes nothing twice.
    """

    database: Database
    clock: Clock
    _: KW_ONLY
    chat: OperatorChat | None
    hour: int | None
    local: Callable[[datetime], datetime]
    wake_notify: Callable[[], None]
    _owed_for: str | None = field(default=None, init=False)

    async def __call__(self) -> int:
        """Owe today's digest where its hour has come; return how many. Raises DatabaseUnavailable."""
        now = self.clock.now()
        here = self.local(now)
        day = f"{here:%Y-%m-%d}"
        if self.chat is None or here.hour != self.hour or day == self._owed_for:
            return 0
        owed = await self.database.write(self._owe, self.chat, day, now)
        self._owed_for = day
        if owed:
            self.wake_notify()
        return owed

    @staticmethod
    def _owe(connection: Connection, chat: OperatorChat, day: str, now: datetime) -> int:
        message = DigestMessage(day, sum_up(connection, now), Owner(OPERATOR, chat.id, chat.language))
        return alerts.tell(connection, [message], now)
