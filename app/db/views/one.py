"""One delivery, or one job, with all that belongs to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, literal_column, select
from sqlalchemy.engine import Connection

from app.db.plain_rows import plain_rows
from app.db.tables import deliveries, events, jobs, notifications
from app.domain.timeline import TimelineStep, timeline

MOST = 100  # lines, messages and other deliveries that are shown
_HIDDEN = {"nonce", "digest"}


@dataclass(frozen=True, slots=True)
class OneDelivery:
    """A delivery whole (`row` has its body, None once retention has emptied it), and what belongs to it.

    `others` are the other deliveries of its avatar, newest first, without bodies.
    """

    row: dict[str, Any]
    job: dict[str, Any] | None
    messages: list[dict[str, Any]]
    steps: list[TimelineStep]
    others: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OneJob:
    """A job whole, its deliveries without bodies, its messages and its history."""

    row: dict[str, Any]
    deliveries: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    events: list[dict[str, Any]]


def one_delivery(connection: Connection, row_id: int) -> OneDelivery | None:
    """Read a delivery by our id; None where there is none."""
    found = plain_rows(connection, select(deliveries).where(deliveries.c.id == row_id))
    if not found:
        return None
    [row] = found
    names = sorted({name for name in (row["request_id"], row["fal_request_id"]) if name})
    job = _job(connection, names)
    messages = _messages(connection, names)
    lines = _lines(connection, [row_id], [one["id"] for one in messages], None if job is None else job["id"])
    subject = job["subject"] if job is not None else None
    subject = subject or next((one["avatar_id"] for one in messages), None)
    others = [one for one in _of_subject(connection, subject, names) if one["id"] != row_id]
    return OneDelivery(row, job, messages, timeline(row, job, messages, lines), others[:MOST])


def one_job(connection: Connection, row_id: int) -> OneJob | None:
    """Read a job by our id; None where there is none."""
    found = plain_rows(connection, select(*_shown(jobs)).where(jobs.c.id == row_id))
    if not found:
        return None
    [row] = found
    names = [row["request_id"]] if row["request_id"] else []
    delivered = _by_names(connection, names)
    messages = _messages(connection, names)
    lines = _lines(connection, [one["id"] for one in delivered], [one["id"] for one in messages], row_id)
    return OneJob(row, delivered, messages, lines)


def one_message(connection: Connection, row_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Read a message by our id, and its history; None where there is none."""
    found = plain_rows(connection, select(notifications).where(notifications.c.id == row_id))
    return (found[0], _lines(connection, [], [row_id], None)) if found else None


def _shown(table: Table) -> list[ColumnElement[Any]]:
    return [column for column in table.c if column.name not in _HIDDEN]


def _job(connection: Connection, names: Sequence[str]) -> dict[str, Any] | None:
    found = plain_rows(connection, select(*_shown(jobs)).where(jobs.c.request_id.in_(names)).order_by(jobs.c.id))
    return found[0] if found else None


def _messages(connection: Connection, names: Sequence[str]) -> list[dict[str, Any]]:
    told = notifications.c
    return plain_rows(connection, select(notifications).where(told.request_id.in_(names)).order_by(told.id).limit(MOST))


def _lines(
    connection: Connection, delivery_ids: Sequence[int], message_ids: Sequence[int], job_id: int | None
) -> list[dict[str, Any]]:
    """Read the history of these rows, oldest first; of much of it the newest."""
    asked = (
        ("delivery_id", delivery_ids),
        ("notification_id", message_ids),
        ("job_id", [] if job_id is None else [job_id]),
    )
    found: dict[int, dict[str, Any]] = {}
    for name, ids in asked:
        if ids:
            spelled: Any = literal_column(f"webhook_events.{name} IS NOT NULL")
            lines = select(events).where(spelled, events.c[name].in_(ids))
            for line in plain_rows(connection, lines.order_by((events.c.id + 0).desc()).limit(MOST)):
                found[line["id"]] = line
    return [found[line_id] for line_id in sorted(found)]


def _of_subject(connection: Connection, subject: str | None, names: Sequence[str]) -> list[dict[str, Any]]:
    """Find the deliveries of an avatar, by its jobs and messages; without one, those of the request."""
    if subject is None:
        return _by_names(connection, names)
    of_jobs = select(jobs.c.request_id).where(jobs.c.subject == subject, jobs.c.request_id.is_not(None)).limit(MOST)
    told = select(notifications.c.request_id).where(notifications.c.avatar_id == subject).limit(MOST)
    found = {*names, *connection.execute(of_jobs).scalars(), *connection.execute(told).scalars()}
    return _by_names(connection, sorted(found))


def _by_names(connection: Connection, names: Sequence[str]) -> list[dict[str, Any]]:
    columns = deliveries.c
    listed = [column for column in columns if column.name not in ("body", "headers", "detail")]
    spelled: Any = literal_column("webhook_deliveries.fal_request_id IS NOT NULL")
    found: dict[int, dict[str, Any]] = {}
    for matches in ((columns.request_id.in_(names),), (spelled, columns.fal_request_id.in_(names))):
        for row in plain_rows(connection, select(*listed).where(*matches).limit(MOST)):
            found[row["id"]] = row
    return [found[row_id] for row_id in sorted(found, reverse=True)]
