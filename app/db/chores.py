"""Periodic work: a row per chore with a due_at, so that each tick runs on exactly one replica.

A `due_at` further ahead than this code ever sets one was set before the clock stepped back. The chore would rest for as
long as that step, so it counts as due.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Table, and_, case, or_, select, update
from sqlalchemy.engine import Connection

from app.db.engine import upsert_into
from app.db.outbox import SENDING
from app.db.tables import chores, deliveries, jobs, notifications
from app.domain.send_outcome import LONGEST_WAIT

APART = timedelta(minutes=5)  # allowed difference between the clocks of two replicas; beyond it signatures fail anyway
LONGEST = timedelta(hours=1)  # longest wait of other rows: the most that LEASE_SECONDS may be
_RESTING = ("slow_down", "paced")  # may wait as long as Telegram asked
SEND_ENDS = timedelta(minutes=1)  # after this a send that was under way has ended


def claim(connection: Connection, name: str, *, now: datetime, lease: timedelta, every: timedelta) -> bool:
    """Take the chore if it is due; nobody else gets it before the lease ends. `every` is the time between its ticks."""
    first = upsert_into(connection, chores).values(name=name, due_at=now).on_conflict_do_nothing()
    connection.execute(first)
    statement = (
        update(chores)
        .where(chores.c.name == name, or_(chores.c.due_at <= now, chores.c.due_at > now + max(lease, every) + APART))
        .values(due_at=now + lease)
        .returning(chores.c.name)
    )
    return (connection.execute(statement)).first() is not None


def finish(connection: Connection, name: str, *, now: datetime, every: timedelta, reason: str) -> None:
    """Set the next tick. `reason` says how this one ended."""
    connection.execute(
        update(chores).where(chores.c.name == name).values(due_at=now + every, finished_at=now, reason=reason)
    )


def last_finished(connection: Connection, name: str) -> datetime | None:
    """Tell when the last tick ended; None before the first."""
    return connection.execute(select(chores.c.finished_at).where(chores.c.name == name)).scalar_one_or_none()


def touch(connection: Connection, name: str, now: datetime) -> None:
    """Write one row for real: reading proves neither a free disk nor a writable one."""
    statement = upsert_into(connection, chores).values(name=name, due_at=now, finished_at=now)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"finished_at": statement.excluded.finished_at})
    )


def pull_back(connection: Connection, now: datetime) -> int:
    """Make pending rows of the queues due that a clock put off which has stepped back since; return how many."""
    waits = deliveries.c.due_at > now + LONGEST + APART
    pulled = connection.execute(update(deliveries).where(_pending(deliveries), waits).values(due_at=now))
    reason, due_at = notifications.c.reason, notifications.c.due_at
    waits = and_(
        due_at > now + LONGEST + APART,
        or_(reason.is_(None), reason.not_in(_RESTING), due_at > now + LONGEST_WAIT + APART),
    )
    soon = case((reason == SENDING, now + SEND_ENDS), else_=now)
    owed = connection.execute(update(notifications).where(_pending(notifications), waits).values(due_at=soon))
    waits = jobs.c.due_at > now + LONGEST + APART
    asked = connection.execute(update(jobs).where(_pending(jobs), waits).values(due_at=now))
    return int(pulled.rowcount) + int(owed.rowcount) + int(asked.rowcount)


def _pending(queue: Table) -> ColumnElement[bool]:
    return queue.c.state == "pending"
