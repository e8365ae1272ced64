"""Artifacts of ended jobs that could not be looked at in time: find them again, note what a later look found."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.engine import Connection

from app.db.bulk_update import UpdateMany
from app.db.tables import jobs
from app.domain.artifact import ArtifactState
from app.domain.job import JobState

_NOTE = UpdateMany(jobs, match=("id",), given=("artifact",), only=[jobs.c.artifact == ArtifactState.UNVERIFIED])


@dataclass(frozen=True, slots=True)
class Unverified:
    """A job whose owner was told before anybody saw its file; `id` is its row's."""

    id: int
    request_id: str
    subject: str | None
    url: str
    finished_at: datetime


def unverified(connection: Connection, *, since: datetime, after: int, limit: int) -> list[Unverified]:
    """List unverified jobs that ended at `since` or later, by id, those after the id `after` only."""
    columns = jobs.c
    statement = (
        select(columns.id, columns.request_id, columns.subject, columns.lora_url, columns.finished_at)
        .where(
            columns.state == JobState.DONE,
            columns.finished_at >= since,
            columns.artifact == ArtifactState.UNVERIFIED,
            columns.lora_url.is_not(None),
            columns.id > after,
        )
        .order_by(columns.id)
        .limit(limit)
    )
    return [Unverified(*row) for row in connection.execute(statement)]


def note(connection: Connection, found: Sequence[tuple[int, ArtifactState]]) -> int:
    """Write what is known of unverified artifacts by now, by the job's id; return how many were still unverified."""
    if not found:
        return 0
    return _NOTE(connection, [({"id": row_id}, {"artifact": state}) for row_id, state in found])
