"""Once a day the operator hears what became of the trainings, and whom they failed."""

from collections.abc import Callable
from datetime import datetime

from app.db import alerts
from app.db.digest import sum_up
from app.db.engine import Connection, Database
from app.domain.notification import OPERATOR, DigestMessage, Owner
from app.flows.ports import Clock
from app.flows.watch import OperatorChat


class DailyDigest:
    """Owes one digest a day, in the hour `hour` of `local`'s clock, whichever replica comes first; None: never.

    The row's identity is the day, so that a restart or a second replica owes nothing twice.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        chat: OperatorChat | None,
        hour: int | None,
        local: Callable[[datetime], datetime],
        wake_notify: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._chat = chat
        self._hour = hour
        self._local = local
        self._wake_notify = wake_notify
        self._owed_for: str | None = None

    async def __call__(self) -> int:
        """Owe today's digest where its hour has come; return how many. Raises DatabaseUnavailable."""
        now = self._clock.now()
        here = self._local(now)
        day = f"{here:%Y-%m-%d}"
        if self._chat is None or here.hour != self._hour or day == self._owed_for:
            return 0
        owed = await self._database.write(self._owe, self._chat, day, now)
        self._owed_for = day
        if owed:
            self._wake_notify()
        return owed

    @staticmethod
    def _owe(connection: Connection, chat: OperatorChat, day: str, now: datetime) -> int:
        message = DigestMessage(day, sum_up(connection, now), Owner(OPERATOR, chat.id, chat.language))
        return alerts.tell(connection, [message], now)
