"""How one training stands, for whoever submitted it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.engine import Connection

from app.db.tables import jobs
from app.domain.job import JobKind, JobState


@dataclass(frozen=True, slots=True)
class TrainingStanding:
    """What is known of a training: how far it is at fal, when it is expected to end, and how it ended."""

    request_id: str
    subject: str | None
    state: JobState
    stage: str | None
    position: int | None
    percent: int | None
    expected_end: datetime | None
    outcome: str | None
    reason: str | None
    endpoint: str | None
    cancel_url: str | None

    def told(self) -> dict[str, Any]:
        """Say it to the bot; fal's addresses are nobody's business."""
        return {
            "request_id": self.request_id,
            "avatar_id": self.subject,
            "status": self.state.value,
            "stage": self.stage,
            "queue_position": self.position,
            "percent": self.percent,
            "expected_end": None if self.expected_end is None else self.expected_end.isoformat(),
            "outcome": self.outcome,
        }


def read(connection: Connection, request_id: str) -> TrainingStanding | None:
    """Load it; None for a request that is no training of ours."""
    columns = jobs.c
    row = connection.execute(
        select(
            columns.request_id,
            columns.subject,
            columns.state,
            columns.stage,
            columns.position,
            columns.percent,
            columns.progress_ends_at,
            columns.outcome,
            columns.reason,
            columns.endpoint,
            columns.cancel_url,
        ).where(columns.request_id == request_id, columns.kind == JobKind.TRAINING.value)
    ).one_or_none()
    if row is None:
        return None
    name, subject, state, *more = row
    return TrainingStanding(name, subject, JobState(state), *more)


def look_soon(connection: Connection, request_id: str, now: datetime) -> None:
    """Let an open job be looked at now."""
    mine = (jobs.c.request_id == request_id, jobs.c.state == JobState.PENDING.value, jobs.c.due_at > now)
    connection.execute(update(jobs).where(*mine).values(due_at=now))
