"""The figures of the operator's daily digest."""

from datetime import datetime

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.engine import Connection

from app.db.tables import jobs, notifications
from app.domain.digest import DAY, SHOWN, Digest, FailedTraining, median
from app.domain.job import JobKind, JobOutcome, JobState
from app.domain.notification import Topic

_TRAININGS = jobs.c.kind == JobKind.TRAINING


def sum_up(connection: Connection, now: datetime) -> Digest:
    """Sum up the trainings of the last day, by index."""
    ended = select(jobs.c.outcome, jobs.c.first_seen_at, jobs.c.finished_at).where(
        _TRAININGS, jobs.c.state == JobState.DONE, jobs.c.finished_at > now - DAY
    )
    rows = list(connection.execute(ended))
    ready = [row for row in rows if row.outcome == JobOutcome.COMPLETED]
    failed = sum(row.outcome in (JobOutcome.FAILED, JobOutcome.GONE) for row in rows)
    oldest = connection.execute(
        select(func.min(jobs.c.first_seen_at)).where(_TRAININGS, jobs.c.state == JobState.PENDING)
    ).scalar_one()
    return Digest(
        ready=len(ready),
        failed=failed,
        median_wait=median([row.finished_at - row.first_seen_at for row in ready]),
        oldest_wait=None if oldest is None else now - oldest,
        failures=_failures(connection, now),
    )


def _failures(connection: Connection, now: datetime) -> tuple[FailedTraining, ...]:
    """Name the trainings that owners were told of as failed, the latest first; not those that succeeded after all."""
    columns = notifications.c
    is_failure = or_(columns.kind == Topic.FAILED, and_(columns.kind == Topic.CORRECTION, columns.cause.is_not(None)))
    succeeded = exists().where(jobs.c.request_id == columns.request_id, jobs.c.outcome == JobOutcome.COMPLETED)
    statement = (
        select(columns.avatar_name, columns.chat_id, columns.cause)
        .where(is_failure, columns.applied_at > now - DAY, ~succeeded)
        .order_by(columns.applied_at.desc(), columns.id.desc())
        .limit(SHOWN)
    )
    return tuple(FailedTraining(name, chat_id, cause or "unknown") for name, chat_id, cause in
                 connection.execute(statement))  # fmt: skip
