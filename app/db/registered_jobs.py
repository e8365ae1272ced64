"""Jobs that the bot told us of: put on record, or joined with what we knew of them."""

import hashlib
from dataclasses import asdict, dataclass
from datetime import datetime

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.engine import Connection

from app.db.engine import upsert_into
from app.db.tables import jobs
from app.domain.job import EndpointSource, JobKind, JobState


@dataclass(frozen=True, slots=True)
class Registration:
    """What the bot says of a job, as it came. URLs are fal's own answers; `steps` are those of the training."""

    request_id: str
    kind: JobKind
    endpoint: str
    status_url: str | None = None
    response_url: str | None = None
    subject_id: str | None = None
    steps: int | None = None
    chat_id: int | None = None
    language: str | None = None

    def digest(self) -> str:
        """Identify the registration: the same again is no other one."""
        said = asdict(self)
        if self.kind is JobKind.TRAINING:  # says nothing of where it is told
            del said["chat_id"], said["language"]
        return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


def register(connection: Connection, job: Registration, *, now: datetime, due_at: datetime) -> str | None:
    """Put a job on record, or add what its registration says; return the digest of an earlier one, which stands."""
    new = upsert_into(connection, jobs).values(
        state=JobState.PENDING,
        due_at=due_at,
        kind=job.kind,
        request_id=job.request_id,
        endpoint_source=EndpointSource.GUESSED,
        first_seen_at=now,
    )
    connection.execute(new.on_conflict_do_nothing(index_elements=["request_id"]))
    mine = jobs.c.request_id == job.request_id
    stands: str | None = connection.execute(select(jobs.c.digest).where(mine).with_for_update()).scalar_one()
    if stands is None:
        given = {
            "endpoint": job.endpoint,
            "endpoint_source": EndpointSource.REGISTERED,
            "digest": job.digest(),
            "status_url": job.status_url,
            "response_url": job.response_url,
            "steps": job.steps,
            "chat_id": job.chat_id,
            "language": job.language,
            "kind": job.kind,
            "subject": func.coalesce(jobs.c.subject, job.subject_id),
        }
        connection.execute(update(jobs).where(mine).values(**given))
    return stands
