"""Owners' progress messages, on the rows of their jobs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.engine import Connection

from app.db import pacing, queue
from app.db.tables import jobs, notifications
from app.domain.job import JobOutcome, JobState
from app.domain.notification import NotificationState, Owner, Topic
from app.domain.progress import APART, ProgressEnd, ProgressLine, Shown

PAST = 100  # trainings that the usual time is learnt from
AHEAD = timedelta(seconds=0.5)  # how much of the bot's budget progress may take at once
_STOPPED = (ProgressEnd.REFUSED, ProgressEnd.SLOWED, ProgressEnd.NOT_EDITABLE)
_RESULTS = (Topic.READY, Topic.FAILED, Topic.CORRECTION)


@dataclass(frozen=True, slots=True)
class Closing:
    """A progress message whose job has ended and whose owner was told of it."""

    job_id: int
    shown: Shown
    name: str
    owner: Owner
    is_ready: bool


def read_shown(row: Row[*tuple[Any, ...]]) -> Shown | None:
    """Read what the message says from a job's row; None where none was sent for certain."""
    if row.progress_message_id is None or row.progress_at is None or row.progress_line is None:
        return None
    return Shown(
        row.progress_chat_id,
        row.progress_message_id,
        ProgressLine(row.progress_line),
        row.progress_at,
        row.progress_edits,
        row.progress_ends_at,
    )


def reserve(connection: Connection, wanted: Mapping[int, int], *, now: datetime, rate: float) -> frozenset[int]:
    """Take a slot for each chat of {job's id: chat}; return the jobs whose message may be sent or edited now.

    None while any message of the outbox is due: a result never waits behind progress. None, too, for a chat in which
    progress has ended, and for a job whose message another process has just sent or edited.
    """
    if queue.due_tables(connection, [notifications], now)[0]:
        return frozenset()
    stopped = select(jobs.c.progress_chat_id).where(
        jobs.c.progress_chat_id.in_(wanted.values()), jobs.c.progress_end.in_(_STOPPED)
    )
    mute = set(connection.execute(stopped).scalars())
    open_ = [job_id for job_id, chat_id in wanted.items() if chat_id not in mute]
    chats = [wanted[job_id] for job_id in open_]
    granted, _ = pacing.take_slots(connection, chats, now=now, horizon=AHEAD, rate=rate) if chats else ({}, {})
    taken = (
        update(jobs)
        .where(
            jobs.c.id.in_([open_[position] for position in granted]),
            jobs.c.progress_end.is_(None),
            jobs.c.progress_at.is_(None) | (jobs.c.progress_at <= now - APART),
        )
        .values(progress_at=now)
        .returning(jobs.c.id)
    )
    return frozenset(connection.execute(taken).scalars())


def record(connection: Connection, job_id: int, columns: Mapping[str, Any]) -> None:
    """Write down what became of a job's message: a row that was claimed anew meanwhile, too, must know of it."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(**columns))


def times_at_work(connection: Connection, endpoint: str) -> list[timedelta]:
    """List how long the last successful trainings at an endpoint were at work, as far as we saw them begin."""
    statement = (
        select(jobs.c.at_work_since, jobs.c.finished_at)
        .where(
            jobs.c.state == JobState.DONE,
            jobs.c.outcome == JobOutcome.COMPLETED,
            jobs.c.endpoint == endpoint,
            jobs.c.at_work_since.is_not(None),
        )
        .order_by(jobs.c.finished_at.desc())
        .limit(PAST)
    )
    return [ended - began for began, ended in connection.execute(statement) if ended > began]


def to_close(connection: Connection, *, now: datetime, limit: int) -> list[Closing]:
    """Find messages that want their last line, longest unchanged first."""
    told = notifications.c
    statement = (
        select(
            jobs.c.id, jobs.c.progress_chat_id, jobs.c.progress_message_id, jobs.c.progress_line, jobs.c.progress_at,
            jobs.c.progress_ends_at, jobs.c.progress_edits, told.avatar_name, told.owner_id, told.language,
            told.kind, told.cause,
        )
        .join(notifications, (told.request_id == jobs.c.request_id) & (told.avatar_id == jobs.c.subject))
        .where(
            jobs.c.progress_message_id.is_not(None),
            jobs.c.progress_end.is_(None),
            jobs.c.state.in_((JobState.DONE, JobState.DEAD)),
            jobs.c.progress_at <= now - APART,
            told.state == NotificationState.SENT,
            told.kind.in_(_RESULTS),
        )
        .order_by(jobs.c.progress_at, told.finished_at)
        .limit(limit)
    )  # fmt: skip
    found: dict[int, Closing] = {}
    for row in connection.execute(statement):
        shown = read_shown(row)
        if shown is None:
            continue
        topic = Topic(row.kind)
        is_ready = topic is Topic.READY or (topic is Topic.CORRECTION and row.cause is None)
        owner = Owner(row.owner_id, shown.chat_id, row.language)
        found[row.id] = Closing(row.id, shown, row.avatar_name, owner, is_ready)  # the last thing told counts
    return list(found.values())
