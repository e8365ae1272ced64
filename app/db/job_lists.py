"""Lists of jobs: where jobs are known to have been submitted, and which are open."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from app.db.tables import jobs
from app.domain.job import EndpointSource, JobState


def endpoints(connection: Connection) -> list[str]:
    """List every endpoint that a job was found at or registered for."""
    statement = select(jobs.c.endpoint).where(
        jobs.c.endpoint.is_not(None), jobs.c.endpoint_source != EndpointSource.GUESSED
    )
    return sorted(connection.execute(statement.distinct().limit(50)).scalars())


def open_ids(connection: Connection, since: datetime | None) -> list[str]:
    """List the open jobs, first due first; with `since` only those first seen from then on."""
    statement = select(jobs.c.request_id).where(jobs.c.state == JobState.PENDING, jobs.c.request_id.is_not(None))
    if since is not None:
        statement = statement.where(jobs.c.first_seen_at >= since)
    return list(connection.execute(statement.order_by(jobs.c.due_at, jobs.c.id)).scalars())
