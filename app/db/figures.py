"""What /metrics shows of the database, read at one moment; the cost does not grow with the rows that have ended."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection

from app.db import totals, views
from app.db.job_facts import UNSEEN
from app.db.tables import alerts, chores, jobs, notifications
from app.domain.alert import AlertLevel
from app.domain.job import JobKind, Stage


@dataclass(frozen=True, slots=True)
class Figures:
    """One look. Keys are the values of labels; a moment is None where there is none.

    `oldest_pending`: of deliveries when the oldest arrived, of messages and jobs when the first of the queue is, or
    was, due. `done` are the totals that only grow, by their names (`app.db.totals`).
    """

    deliveries: Mapping[str, int]
    notifications: Mapping[str, int]
    jobs: Mapping[tuple[str, ...], int]  # kind, stage
    oldest_pending: Mapping[str, datetime | None]
    orphans: int
    overdue: int
    drifted: int
    last_delivery: datetime | None
    alerts: Mapping[str, int]  # open ones, by level
    chores: Mapping[str, datetime]  # when each was last finished
    done: Mapping[str, int]


def read(connection: Connection, now: datetime) -> Figures:
    """Read everything."""
    seen: dict[str, Any] = views.totals(connection, now)
    messages, looks = connection.execute(_DUE).one()
    return Figures(
        deliveries=seen["deliveries"],
        notifications=seen["notifications"],
        jobs=_jobs(connection),
        oldest_pending={"deliveries": seen["oldest_pending"], "notifications": messages, "jobs": looks},
        orphans=seen["orphans"],
        overdue=seen["overdue_trainings"],
        drifted=seen["drifted"],
        last_delivery=seen["last_delivery"],
        alerts={**{level.value: 0 for level in AlertLevel}, **_alerts(connection)},
        chores={name: at for name, at in connection.execute(_CHORES)},  # noqa: C416  rows are no pairs to a type checker
        done=totals.read_done(connection),
    )


def _jobs(connection: Connection) -> Counter[tuple[str, ...]]:
    stages = (UNSEEN, *(stage.value for stage in Stage))
    found: Counter[tuple[str, ...]] = Counter()
    found.update({(kind.value, stage): 0 for kind in JobKind if totals.is_counted(kind) for stage in stages})
    for kind, stage, rows in connection.execute(_JOBS):
        found[str(kind), str(stage or UNSEEN)] += rows
    return found


def _alerts(connection: Connection) -> dict[str, int]:
    return {str(level): rows for level, rows in connection.execute(_ALERTS)}


_DUE = select(
    select(func.min(notifications.c.due_at)).where(text("state = 'pending'")).scalar_subquery(),
    select(func.min(jobs.c.due_at)).where(text("state = 'pending'")).scalar_subquery(),
)
_JOBS = (
    select(jobs.c.kind, jobs.c.stage, func.count()).where(text("state = 'pending'")).group_by(jobs.c.kind, jobs.c.stage)
)
_ALERTS = select(alerts.c.level, func.count()).where(alerts.c.resolved_at.is_(None)).group_by(alerts.c.level)
_CHORES = select(chores.c.name, chores.c.finished_at).where(chores.c.finished_at.is_not(None))
