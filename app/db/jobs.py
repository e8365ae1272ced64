"""Jobs: the queue of looks at fal. Its rows outlive their end, because the bot may set back what we finished."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, exists, func, literal_column, or_, select, update
from sqlalchemy.engine import Connection

from app.db import events, queue
from app.db.bulk_update import InsertMany
from app.db.progress import read_shown
from app.db.tables import deliveries, jobs
from app.domain.delivery import Claim
from app.domain.history import Event, EventKind, is_worth_keeping
from app.domain.job import EndpointSource, JobKind, JobOutcome, JobState, Stage
from app.domain.look import End, OpenJob, Wait
from app.domain.training import Artifacts, Known

_OPEN = [
    jobs.c[name]
    for name in (
        "id", "attempt", "failures", "kind", "request_id", "subject", "endpoint", "endpoint_source", "status_url",
        "response_url", "stage", "reason", "first_seen_at", "at_work_since", "stage_since", "said_at", "state",
        "percent", "steps", "progress_at", "progress_end", "progress_chat_id", "progress_message_id", "progress_line",
        "progress_ends_at", "progress_edits",
    )
]  # fmt: skip
_ASKABLE = (JobState.PENDING, JobState.HISTORIC, JobState.DEAD)  # the last two by hand only
# A delivery about the job waits in the inbox. The header may name an attempt; the body, once read, names the request.
HAS_COME = or_(*(
    exists().where(name == jobs.c.request_id, queue.is_pending(deliveries))
    for name in (deliveries.c.request_id, deliveries.c.fal_request_id)
))  # fmt: skip
# What may be asked about. Built once, without parameters: a claim is compiled by its conditions (`queue.is_pending`).
_KINDS: list[ColumnElement[str]] = [literal_column(f"'{kind}'") for kind in sorted(JobKind)]
ASKED = (jobs.c.request_id.is_not(None), jobs.c.kind.in_(_KINDS), ~HAS_COME)
_NEW = InsertMany(
    jobs,
    given=(
        "state", "reason", "due_at", "kind", "request_id", "subject", "endpoint", "endpoint_source", "first_seen_at",
    ),
    unique=("request_id",),
)  # fmt: skip
_ENDED = ("state", "reason", "detail", "due_at", "finished_at", "kind", "request_id", "subject", "endpoint",
          "endpoint_source", "first_seen_at", "stage", "stage_since", "outcome", "lora_url", "config_url",
          "finetune_id", "artifact", "delivery_id")  # fmt: skip
_RENEWED = ("state", "reason", "detail", "finished_at", "subject", "stage", "stage_since", "outcome", "lora_url",
            "config_url", "finetune_id", "artifact", "delivery_id")  # fmt: skip
_LASTING = {"finished_at": "outcome", "stage_since": "outcome"}  # what was put right ended when it first did
_TOLD = InsertMany(jobs, given=_ENDED, unique=("request_id",), renewed=_RENEWED, lasting=_LASTING)
_FOUND = InsertMany(jobs, given=_ENDED, unique=("request_id",), renewed=_RENEWED, only=[jobs.c.state != JobState.DONE])


@dataclass(frozen=True, slots=True)
class Expected:
    """A training of the bot's that this server has not met before."""

    request_id: str
    subject: str
    endpoint: str
    is_historic: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """What a delivery made of its job. `changes`: it changed the subject, so it is the truth from now on."""

    request_id: str
    kind: JobKind
    subject: str | None
    endpoint: str
    state: JobState
    reason: str
    delivery_id: int
    changes: bool = False
    outcome: JobOutcome | None = None
    artifacts: Artifacts | None = None
    artifact: str | None = None
    detail: str | None = None  # fal's words where it failed


def expect(connection: Connection, found: Sequence[Expected], *, now: datetime, due_at: datetime) -> None:
    """Take in jobs, first looked at when `due_at` comes; those on record stay as they are."""
    rows = [
        {
            "state": JobState.HISTORIC if job.is_historic else JobState.PENDING,
            "reason": None,
            "due_at": due_at,
            "kind": JobKind.TRAINING,
            "request_id": job.request_id,
            "subject": job.subject,
            "endpoint": job.endpoint,
            "endpoint_source": EndpointSource.GUESSED,
            "first_seen_at": now,
        }
        for job in found
    ]
    if rows:
        _NEW(connection, rows)


def claim(
    connection: Connection, *, now: datetime, lease_until: datetime, limit: int, ids: Sequence[str] | None = None
) -> list[OpenJob]:
    """Claim due jobs, oldest due first. Not those whose delivery is in the inbox and waits to be applied.

    `ids` claims these request ids instead, due or not, historic ones too.
    """
    if ids is None:
        rows = queue.claim_due(connection, jobs, _OPEN, now=now, lease_until=lease_until, limit=limit, only=ASKED)
    else:
        claimed = (
            update(jobs)
            .where(
                jobs.c.request_id.in_(ids),
                jobs.c.state.in_(_ASKABLE),
                *ASKED,
            )
            .values(due_at=lease_until, attempt=jobs.c.attempt + 1)
            .returning(*_OPEN)
        )
        rows = sorted(connection.execute(claimed).all(), key=lambda row: row.id)
    return [_open_job(row) for row in rows]


def _open_job(row: Row[*tuple[Any, ...]]) -> OpenJob:
    return OpenJob(
        claim=Claim(row.id, row.attempt),
        failures=row.failures,
        kind=JobKind(row.kind),
        request_id=row.request_id,
        subject=row.subject,
        endpoint=row.endpoint,
        endpoint_source=EndpointSource(row.endpoint_source),
        status_url=row.status_url,
        response_url=row.response_url,
        stage=None if row.stage is None else Stage(row.stage),
        reason=row.reason,
        first_seen_at=row.first_seen_at,
        at_work_since=row.at_work_since,
        stage_since=row.stage_since,
        said_at=row.said_at,
        state=JobState(row.state),
        percent=row.percent,
        steps=row.steps,
        progress_at=row.progress_at,
        progress_end=row.progress_end,
        shown=read_shown(row),
    )


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look made of a claimed job, whose endpoint may be another than the one guessed."""

    job: OpenJob
    step: Wait | End


def record(connection: Connection, looked: Sequence[Looked], now: datetime) -> None:
    """Write what looks found. Raises ClaimLost when a job was claimed anew or ended meanwhile."""
    rows = [(one.job.claim, _columns(one, now)) for one in looked]
    queue.finish(connection, jobs, rows, states=_ASKABLE)
    events.note(connection, [line for line in (_line(one, now) for one in looked) if line is not None])


def _line(looked: Looked, now: datetime) -> Event | None:
    """Say what a look found; None of one that found nothing new."""
    job, step = looked.job, looked.step
    match step:
        case End():
            kind, reason = EventKind.ENDED, step.reason
        case Wait(stage=Stage() as stage) if stage is not job.stage:
            kind, reason = EventKind.STAGE, stage.value
        case Wait() if not step.said and (step.reason != job.reason or is_worth_keeping(job.failures + 1)):
            kind, reason = EventKind.ASKED, str(step.reason)
        case _:
            return None
    return Event(now, kind.value, job_id=job.claim.id, attempt=job.claim.attempt, reason=reason)


def _columns(looked: Looked, now: datetime) -> dict[str, Any]:
    job, step = looked.job, looked.step
    kept = {
        "endpoint": job.endpoint,
        "endpoint_source": job.endpoint_source,
        "looked_at": now,
        "detail": step.detail,
        "reason": step.reason,
    }
    match step:
        case Wait():
            stage = step.stage or job.stage
            return {
                **kept,
                "state": JobState.HISTORIC if job.state is JobState.HISTORIC else JobState.PENDING,
                "due_at": step.at,
                "failures": 0 if step.said else job.failures + 1,
                "finished_at": None,
                "stage": stage,
                "stage_since": job.stage_since if stage is job.stage else now,
                "said_at": now if step.said else job.said_at,
                "at_work_since": job.at_work_since or (now if stage is Stage.AT_WORK else None),
                "position": step.position,
                "outcome": None,
            }
        case End():
            return {
                **kept,
                "state": step.state,
                "due_at": now,
                "failures": job.failures,
                "finished_at": now,
                "stage": job.stage,
                "stage_since": job.stage_since,
                "said_at": now,
                "at_work_since": job.at_work_since,
                "position": None,
                "outcome": step.outcome,
            }


def end(connection: Connection, ended: Sequence[Ended], now: datetime) -> None:
    """Write how jobs ended; a job that is not on record is added.

    An end that did not change the subject leaves a job that has ended already; the same outcome once more, its moments.
    """
    for renew, rows in (
        (_TOLD, [_ended(one, now) for one in ended if one.changes]),
        (_FOUND, [_ended(one, now) for one in ended if not one.changes]),
    ):
        if rows:
            renew(connection, rows)


def _ended(one: Ended, now: datetime) -> dict[str, Any]:
    artifacts = one.artifacts or Artifacts()
    return {
        "state": one.state,
        "reason": one.reason,
        "detail": one.detail,
        "due_at": now,
        "finished_at": now,
        "kind": one.kind,
        "request_id": one.request_id,
        "subject": one.subject,
        "endpoint": one.endpoint,
        "endpoint_source": EndpointSource.GUESSED,
        "first_seen_at": now,
        "stage": Stage.GONE if one.outcome is JobOutcome.GONE else Stage.FINISHED,
        "stage_since": now,
        "outcome": one.outcome,
        "lora_url": artifacts.lora_url,
        "config_url": artifacts.config_url,
        "finetune_id": artifacts.finetune_id,
        "artifact": one.artifact,
        "delivery_id": one.delivery_id,
    }


def known(connection: Connection, request_ids: Sequence[str]) -> dict[str, Known]:
    """Load what is on record of these jobs."""
    columns = jobs.c
    statement = select(
        columns.request_id,
        columns.state,
        columns.outcome,
        columns.lora_url,
        columns.config_url,
        columns.finetune_id,
        func.coalesce(columns.at_work_since, columns.first_seen_at),
    ).where(columns.request_id.in_(request_ids))
    return {
        request_id: Known(
            JobState(state),
            None if outcome is None else JobOutcome(outcome),
            Artifacts(lora_url=lora_url, config_url=config_url, finetune_id=finetune_id),
            began_at,
        )
        for request_id, state, outcome, lora_url, config_url, finetune_id, began_at in connection.execute(statement)
    }


def rouse(connection: Connection, now: datetime) -> int:
    """Make every open job due: after an outage of ours what finished meanwhile may expire within minutes."""
    statement = update(jobs).where(jobs.c.state == JobState.PENDING, jobs.c.due_at > now).values(due_at=now)
    return int(connection.execute(statement).rowcount)
