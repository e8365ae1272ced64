"""Periodic work: a row per chore with a due_at, so that each tick runs on exactly one replica.

A `due_at` further ahead than this code ever sets one was set before the clock stepped back. The chore would rest for as
long as that step, so it counts as due.
"""

from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import and_, bindparam, case, or_, select, update
from sqlalchemy.engine import Connection

from app.db.engine import UtcDateTime, upsert_into
from app.db.overtaking import SENDING
from app.db.queue import is_pending
from app.db.tables import chores, deliveries, jobs, notifications
from app.domain.send_outcome import LONGEST_WAIT

APART = timedelta(minutes=5)  # allowed difference between the clocks of two replicas; beyond it signatures fail anyway
LONGEST = timedelta(hours=1)  # longest wait of other rows: the most that LEASE_SECONDS may be
_RESTING = ("slow_down", "paced")  # may wait as long as Telegram asked
SEND_ENDS = timedelta(minutes=1)  # after this a send that was under way has ended

# Built once: that costs more than running them, and they run for ever.
_NAMED = chores.c.name == bindparam("chore")
_NOW, _MOMENT = bindparam("now", type_=UtcDateTime()), partial(bindparam, type_=UtcDateTime())
_IS_DUE = or_(chores.c.due_at <= _NOW, chores.c.due_at > _MOMENT("beyond"))
_TAKE = update(chores).where(_NAMED, _IS_DUE).values(due_at=_MOMENT("lease_until")).returning(chores.c.name)
_FINISH = update(chores).where(_NAMED).values(due_at=_MOMENT("next_at"), finished_at=_NOW, reason=bindparam("how"))
_LAST = select(chores.c.finished_at).where(_NAMED)


def claim(connection: Connection, name: str, *, now: datetime, lease: timedelta, every: timedelta) -> bool:
    """Take the chore if it is due; nobody else gets it before the lease ends. `every` is the time between its ticks."""
    given = {"chore": name, "now": now, "beyond": now + max(lease, every) + APART, "lease_until": now + lease}
    if connection.execute(_TAKE, given).first() is not None:
        return True
    first = upsert_into(connection, chores).values(name=name, due_at=now + lease).on_conflict_do_nothing()
    return connection.execute(first.returning(chores.c.name)).first() is not None


def finish(connection: Connection, name: str, *, now: datetime, every: timedelta, reason: str) -> None:
    """Set the next tick. `reason` says how this one ended."""
    connection.execute(_FINISH, {"chore": name, "next_at": now + every, "now": now, "how": reason})


def last_finished(connection: Connection, name: str) -> datetime | None:
    """Tell when the last tick ended; None before the first."""
    return connection.execute(_LAST, {"chore": name}).scalar_one_or_none()


def touch(connection: Connection, name: str, now: datetime) -> None:
    """Write one row for real: reading proves neither a free disk nor a writable one."""
    statement = upsert_into(connection, chores).values(name=name, due_at=now, finished_at=now)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"finished_at": statement.excluded.finished_at})
    )


def pull_back(connection: Connection, now: datetime) -> int:
    """Make pending rows of the queues due that a clock put off which has stepped back since; return how many."""
    waits = deliveries.c.due_at > now + LONGEST + APART
    pulled = connection.execute(update(deliveries).where(is_pending(deliveries), waits).values(due_at=now))
    reason, due_at = notifications.c.reason, notifications.c.due_at
    waits = and_(
        due_at > now + LONGEST + APART,
        or_(reason.is_(None), reason.not_in(_RESTING), due_at > now + LONGEST_WAIT + APART),
    )
    soon = case((reason == SENDING, now + SEND_ENDS), else_=now)
    owed = connection.execute(update(notifications).where(is_pending(notifications), waits).values(due_at=soon))
    waits = jobs.c.due_at > now + LONGEST + APART
    asked = connection.execute(update(jobs).where(is_pending(jobs), waits).values(due_at=now))
    return int(pulled.rowcount) + int(owed.rowcount) + int(asked.rowcount)
