"""What is wrong now → alerts that open, get worse and are over → one message for each of these turns.

Every process looks at its own machine; what is shared is looked at by one of them, and what heals by a look is healed.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta

import structlog

from app.db import alerts, chores, job_facts
from app.db.engine import Connection, Database
from app.domain.alert import LOST, REMEDY, Alarm, AlertStep, AlertTurn, close, follow
from app.domain.alert_rules import MachineFacts, failure_alarms, machine_alarms, queue_alarms
from app.domain.job_alarms import job_alarms
from app.domain.notification import Topic, alert_message
from app.flows.ports import Clock

log = structlog.get_logger(__name__)

NAME = "watch"
EVERY = timedelta(seconds=55)  # below the minute between two looks of a process, or it would miss every other one
KEPT = timedelta(days=90)  # how long an alert that is over stays in the table


@dataclass(frozen=True, slots=True)
class OperatorChat:
    """Where the operator listens, and in which language (an IETF tag)."""

    id: int
    language: str


@dataclass(eq=False, repr=False, slots=True)
class Watch:
    """Gather the facts, write the alerts that they change, owe one message for each turn.

    `look` gathers the facts of this machine, whose name is `machine`; `count_invented` counts rows of open jobs that
    hold an artifact which nobody made. Without a `chat` alerts are kept and logged only. `wake_notify` is called when a
    message is owed.
    """

    database: Database
    clock: Clock
    look: Callable[[], MachineFacts]
    _: KW_ONLY
    count_invented: Callable[[Connection], int]
    machine: str
    chat: OperatorChat | None
    wake_notify: Callable[[], None]
    _foreign_seen: int = field(default=0, init=False)

    async def __call__(self) -> int:
        """Look once; return how many alerts took a turn. One transaction. Raises DatabaseUnavailable."""
        now = self.clock.now()
        facts = self.look()
        own = list(machine_alarms(facts, self.machine, now, foreign_before=self._foreign_seen))
        steps, told, pulled_back = await self.database.write(self._take, own, now)
        self._foreign_seen = facts.foreign
        if pulled_back:
            log.warning("queue.pulled_back", rows=pulled_back)
        for step in steps:
            report(step)
        if told:
            self.wake_notify()
        return sum(step.turn is not None for step in steps)

    def _take(self, connection: Connection, own: Sequence[Alarm], now: datetime) -> tuple[list[AlertStep], int, int]:
        """Write what one look changed; return the steps, how many messages are owed, and the rows pulled back."""
        pulled_back = 0
        steps = self._follow(connection, self.machine, own, now)
        if chores.claim(connection, NAME, now=now, lease=EVERY, every=EVERY):
            pulled_back = chores.pull_back(connection, now)
            shared = list(queue_alarms(alerts.count_queues(connection, now), now))
            shared += failure_alarms(alerts.count_failures(connection))
            shared += job_alarms(job_facts.count(connection, now), invented=self.count_invented(connection))
            steps += self._follow(connection, "", shared, now)
            steps += self._write(connection, [close(alert, now) for alert in alerts.lost(connection, now - LOST)])
            alerts.forget(connection, now - KEPT)
            chores.finish(connection, NAME, now=now, every=EVERY, reason="done")
        return steps, self._tell(connection, steps, now), pulled_back

    def _follow(self, connection: Connection, machine: str, alarms: Sequence[Alarm], now: datetime) -> list[AlertStep]:
        by_name = {alarm.name: alarm for alarm in alarms}
        known = alerts.load(connection, machine, alarms, now)
        may_tell = self.chat is not None
        looks = (follow(alert, by_name.get(alert.name), now, may_tell=may_tell) for alert in known)
        return self._write(connection, [step for step in looks if step is not None])

    @staticmethod
    def _write(connection: Connection, steps: list[AlertStep]) -> list[AlertStep]:
        alerts.save(connection, [step.alert for step in steps])
        return steps

    def _tell(self, connection: Connection, steps: Sequence[AlertStep], now: datetime) -> int:
        if self.chat is None:
            return 0
        news = [
            alert_message(
                step.alert,
                Topic.RESOLVED if step.turn is AlertTurn.RESOLVED else Topic.ALERT,
                chat_id=self.chat.id,
                language=self.chat.language,
            )
            for step in steps
            if step.tell
        ]
        alerts.tell(connection, news, now)
        return len(news)


def report(step: AlertStep) -> None:
    """Log the turn that an alert took, if any."""
    alert = step.alert
    remedy = REMEDY[alert.condition]
    match step.turn:
        case AlertTurn.OPENED:
            log.error(
                "alert.opened",
                alert=alert.name,
                level=alert.level,
                detail=alert.detail,
                remedy=remedy,
                told=step.tell,
                times=alert.times,
            )
        case AlertTurn.WORSENED:
            log.error(
                "alert.worsened",
                alert=alert.name,
                level=alert.level,
                detail=alert.detail,
                remedy=remedy,
                told=step.tell,
            )
        case AlertTurn.RESOLVED:
            lasted = (alert.changed_at - alert.opened_at).total_seconds()
            log.info("alert.resolved", alert=alert.name, told=step.tell, open_seconds=round(lasted))
