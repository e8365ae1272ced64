"""Submissions: jobs that are on record before fal is asked, and get their request id from fal's answer, or later.

A row without a request id is a submission that has no answer. Nothing sends it again: it is joined by the nonce in the
address that fal's webhook comes to, or by the one entry of fal's list that was given the same photos.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.engine import Connection

from app.db import queue
from app.db.begun_trainings import find_candidate, unwritable, write_begun
from app.db.tables import jobs
from app.db.trainings import BotTables
from app.domain.delivery import Claim
from app.domain.job import EndpointSource, JobKind, JobState
from app.domain.submission import Submission
from app.domain.submit_outcome import Submitted

log = structlog.get_logger("app.webhook")

SUBMITTING = "submitting"  # the POST to fal may be under way
UNKNOWN = "submit_unknown"  # fal may have it
_C = jobs.c
_UNANSWERED = (_C.request_id.is_(None), _C.kind == JobKind.TRAINING.value)
_MOVED = ("idempotency_key", "digest", "nonce", "endpoint", "steps", "trigger_word", "photos_sha256")


@dataclass(frozen=True, slots=True)
class OnRecord:
    """What is on record under an idempotency key. `due_at`: until then the POST may be under way."""

    digest: str
    request_id: str | None
    reason: str | None
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A claimed submission without an answer."""

    claim: Claim
    failures: int
    endpoint: str
    photos_sha256: str
    first_seen_at: datetime


class Hindrance(StrEnum):
    """Why a submission is not put on record."""

    AVATAR_UNKNOWN = "avatar_unknown"
    OTHER_TYPE = "other_type"  # the avatar is a style and a portrait was asked for, or the other way round
    AT_WORK = "at_work"  # fal works on the avatar, or may: a job of it is open


@dataclass(frozen=True, slots=True)
class Unwritable:
    """Why nothing is submitted: this role may not write these columns of the avatar's row, where fal's id belongs."""

    columns: Sequence[str]


def find(connection: Connection, key: str) -> OnRecord | None:
    """Find what is on record under an idempotency key."""
    found = connection.execute(
        select(_C.digest, _C.request_id, _C.reason, _C.due_at).where(_C.idempotency_key == key)
    ).one_or_none()
    return None if found is None else OnRecord(*found)


def begin(
    connection: Connection, tables: BotTables, wanted: Submission, *, now: datetime, until: datetime
) -> int | OnRecord | Hindrance | Unwritable:
    """Put a submission on record; return its row's id, what stands under its key already, or what is in the way.

    The avatar's row is locked first, so that of two for one avatar the second sees the first.
    """
    avatar = find_candidate(connection, tables, wanted.subject)
    if (there := find(connection, wanted.key)) is not None:
        return there
    if avatar is None:
        return Hindrance.AVATAR_UNKNOWN
    if avatar.trainer not in (None, wanted.trainer):
        return Hindrance.OTHER_TYPE
    is_open = select(_C.id).where(_C.subject == wanted.subject, _C.state == JobState.PENDING.value).limit(1)
    if avatar.is_at_work or connection.execute(is_open).first() is not None:
        return Hindrance.AT_WORK
    if columns := unwritable(connection, tables):
        return Unwritable(columns)
    row = {
        "state": JobState.PENDING,
        "reason": SUBMITTING,
        "due_at": until,
        "kind": JobKind.TRAINING,
        "idempotency_key": wanted.key,
        "digest": wanted.digest,
        "nonce": wanted.nonce,
        "subject": wanted.subject,
        "endpoint": wanted.endpoint,
        "endpoint_source": EndpointSource.SUBMITTED,
        "steps": wanted.steps,
        "trigger_word": wanted.trigger,
        "photos_sha256": wanted.photos_sha256,
        "first_seen_at": now,
    }
    made: int = connection.execute(jobs.insert().values(row).returning(_C.id)).scalar_one()
    return made


def answered(
    connection: Connection, tables: BotTables, row_id: int, taken: Submitted, *, now: datetime, due_at: datetime
) -> None:
    """Write what fal answered, into the job's row and the avatar's: nobody can ask about one without the other."""
    _join(connection, tables, _C.id == row_id, taken, now=now, due_at=due_at)


def not_taken(connection: Connection, row_id: int, reason: str, detail: str, now: datetime) -> None:
    """End a submission that fal has surely not taken; its key may be used again."""
    values = {"state": JobState.DEAD, "reason": reason, "detail": detail, "due_at": now, "finished_at": now}
    connection.execute(
        update(jobs).where(_C.id == row_id, *_UNANSWERED).values(idempotency_key=None, nonce=None, **values)
    )


def lost(connection: Connection, row_id: int, detail: str, *, due_at: datetime) -> None:
    """Note that nobody knows whether fal has taken a submission; it is looked for from `due_at` on."""
    values = {"reason": UNKNOWN, "detail": detail, "due_at": due_at}
    connection.execute(update(jobs).where(_C.id == row_id, *_UNANSWERED).values(**values))


def told(connection: Connection, told_of: Sequence[tuple[str, str]], *, tables: BotTables, now: datetime) -> None:
    """Join submissions with the requests whose webhooks came to their addresses: pairs of nonce and request id."""
    wanted = dict(told_of)
    waiting = connection.execute(select(_C.nonce).where(_C.nonce.in_(sorted(wanted)), *_UNANSWERED)).scalars().all()
    for nonce in waiting:  # few: an answer that is lost is rare
        _join(connection, tables, _C.nonce == nonce, Submitted(wanted[nonce]), now=now, due_at=now)


def claim(connection: Connection, *, now: datetime, lease_until: datetime, limit: int) -> list[Unanswered]:
    """Claim due submissions without an answer, oldest due first. Whatever was under way by then has died."""
    columns = [_C.id, _C.attempt, _C.failures, _C.endpoint, _C.photos_sha256, _C.first_seen_at]
    rows = queue.claim_due(
        connection,
        jobs,
        columns,
        now=now,
        lease_until=lease_until,
        limit=limit,
        marks={"reason": UNKNOWN},
        only=_UNANSWERED,
    )
    return [Unanswered(Claim(row_id, attempt), *more) for row_id, attempt, *more in rows]


def found(
    connection: Connection, tables: BotTables, claimed: Unanswered, request_id: str, *, now: datetime, due_at: datetime
) -> None:
    """Join a submission with the entry of fal's list that it must be."""
    mine = (_C.id == claimed.claim.id) & (_C.attempt == claimed.claim.attempt)
    _join(connection, tables, mine, Submitted(request_id), now=now, due_at=due_at)


def not_found(connection: Connection, claimed: Unanswered, *, due_at: datetime | None, now: datetime) -> None:
    """Look again at `due_at`; None: it is the operator's, and joined only if its webhook comes after all."""
    values: dict[str, Any] = {"failures": claimed.failures + 1}
    if due_at is None:
        values |= {"state": JobState.DEAD, "due_at": now, "finished_at": now}
    else:
        values["due_at"] = due_at
    mine = (_C.id == claimed.claim.id, _C.attempt == claimed.claim.attempt, *_UNANSWERED)
    connection.execute(update(jobs).where(*mine).values(**values))


def give_up(connection: Connection, subject: str, now: datetime) -> int:
    """End the submissions of an avatar that have no answer, at an operator's word; return how many."""
    values = {"state": JobState.DEAD, "detail": "an operator gave it up", "due_at": now, "finished_at": now}
    mine = (_C.subject == subject, _C.state == JobState.PENDING.value, _C.due_at <= now, *_UNANSWERED)
    gone = connection.execute(update(jobs).where(*mine).values(**values))
    other = (_C.subject == subject, _C.state == JobState.PENDING.value, _C.reason == UNKNOWN, *_UNANSWERED)
    return int(gone.rowcount) + int(connection.execute(update(jobs).where(*other).values(**values)).rowcount)


def taken_ids(connection: Connection, request_ids: Sequence[str]) -> frozenset[str]:
    """Tell which of these requests are jobs already."""
    return frozenset(connection.execute(select(_C.request_id).where(_C.request_id.in_(request_ids))).scalars())


def _join(
    connection: Connection, tables: BotTables, mine: Any, taken: Submitted, *, now: datetime, due_at: datetime
) -> None:
    """Give a submission its request id. What came first stands: a webhook may overtake fal's answer."""
    wanted = [_C[name] for name in ("id", "request_id", "subject", "trigger_word", *_MOVED)]
    row = connection.execute(select(*dict.fromkeys(wanted)).where(mine).with_for_update()).one_or_none()
    if row is None:
        return
    urls = {"status_url": taken.status_url, "response_url": taken.response_url, "cancel_url": taken.cancel_url}
    if row.request_id is not None:
        if row.request_id == taken.request_id:
            given = {name: url for name, url in urls.items() if url is not None}
            connection.execute(update(jobs).where(_C.id == row.id).values(**given)) if given else None
        else:
            log.error("submission.two_requests", request_id=row.request_id, other=taken.request_id)
        return
    other = connection.execute(
        select(_C.id, _C.state, _C.subject).where(_C.request_id == taken.request_id).with_for_update()
    ).one_or_none()
    if other is not None:
        _move(connection, row, other, urls)
    else:
        values = {
            "request_id": taken.request_id,
            "state": JobState.PENDING,
            "reason": None,
            "detail": None,
            "due_at": due_at,
            "failures": 0,
            "finished_at": None,
            "stage": taken.stage,
            "stage_since": now,
            "said_at": now,
            **urls,
        }
        connection.execute(update(jobs).where(_C.id == row.id).values(**values))
    is_open = other is None or other.state == JobState.PENDING
    if is_open and not write_begun(
        connection, tables, row.subject, taken.request_id, trigger=row.trigger_word, now=now
    ):
        log.warning("submission.row_changed", request_id=taken.request_id, subject=row.subject)
    log.info("submission.joined", request_id=taken.request_id, subject=row.subject)


def _move(connection: Connection, row: Any, other: Any, urls: dict[str, str | None]) -> None:
    """Put a submission into the row that its request has already: somebody told us of it before its answer did."""
    connection.execute(delete(jobs).where(_C.id == row.id))
    values: dict[str, Any] = {name: getattr(row, name) for name in _MOVED}
    values |= {name: url for name, url in urls.items() if url is not None}
    values |= {"endpoint_source": EndpointSource.SUBMITTED, "subject": func.coalesce(_C.subject, row.subject)}
    connection.execute(update(jobs).where(_C.id == other.id).values(**values))
