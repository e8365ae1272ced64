"""Reads for people: totals without ids or names, at the same cost whatever has ended.

Beside them in this package, for the operator: `pages` (rows, counts, facets of a search), `open_jobs`, `one` (a
delivery, job or message with all that belongs to it), `figures` (errors, balance, audit) and `charts`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Table, TextClause, func, select, text
from sqlalchemy.engine import Connection

from app.db import job_facts
from app.db import totals as kept
from app.db.tables import deliveries, jobs, notifications
from app.domain.notification import NotificationState


def totals(connection: Connection, now: datetime) -> dict[str, Any]:
    """Tell how many deliveries, notifications and jobs stand where; moments are datetimes, None where there is none."""
    amounts, facts = kept.read(connection), job_facts.count(connection, now)
    orphans, untried, tried, newest, repeated, asked = connection.execute(_LOOK).one()
    return {
        "deliveries": {state: amounts[kept.named(deliveries, state)] for state in kept.STATES[deliveries]},
        "notifications": {state: amounts[kept.named(notifications, state)] for state in kept.STATES[notifications]},
        "duplicates": amounts[kept.DUPLICATES],
        "orphans": orphans,
        "oldest_pending": min((at for at in (untried, tried) if at is not None), default=None),
        "last_delivery": max((at for at in (newest, repeated) if at is not None), default=None),
        "open_jobs": dict(facts.by_stage),
        "overdue_trainings": facts.overdue + facts.dead,
        "results_gone": facts.gone,
        "drifted": facts.drifted,
        "last_reconcile": asked,
    }


def count_dead_deliveries(connection: Connection) -> int:
    """Count deliveries that wait for the operator, really."""
    return _count(connection, deliveries, text("state = 'dead'"))


def count_notifications(connection: Connection, state: NotificationState) -> int:
    """Count messages in a state, really: reads the whole table but for dead ones."""
    return _count(connection, notifications, text(f"state = '{state}'"))


def _count(connection: Connection, table: Table, where: TextClause) -> int:
    return connection.execute(select(func.count()).select_from(table).where(where)).scalar_one()


def _first(moment: ColumnElement[Any], *where: str, order: Sequence[ColumnElement[Any]]) -> ScalarSelect[Any]:
    """Take a moment from the first row in an order that an index has."""
    return select(moment).where(*map(text, where)).order_by(*order).limit(1).scalar_subquery()


_REAL = f"kind <> '{kept.UNCOUNTED}'"
_arrived, _repeated = deliveries.c.received_at, deliveries.c.last_received_at
# SQLite takes an index with a condition only where the query spells the same condition out.
_LOOK = select(
    select(func.count())
    .select_from(deliveries)
    .where(text("state = 'pending' AND reason IS NOT NULL AND reason = 'orphan'"))
    .scalar_subquery(),
    # What `try` sends is in no total; it is a row or two, so the indexes serve as they are.
    # A delivery that was never tried has been due since it was stored: of those the first in the queue is the oldest.
    # One that was tried may be due at any time, though not before it arrived.
    _first(_arrived, "state = 'pending'", _REAL, order=[deliveries.c.due_at, deliveries.c.id]),
    _first(_arrived, "state = 'pending' AND attempt > 0", _REAL, order=[_arrived]),
    _first(_repeated, _REAL, order=[deliveries.c.id.desc()]),
    _first(_repeated, "repeats > 0", _REAL, order=[_repeated.desc()]),
    _first(jobs.c.looked_at, "looked_at IS NOT NULL", order=[jobs.c.looked_at.desc()]),
)
