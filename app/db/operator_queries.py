"""What an operator may see and change: list and find rows of the queues, redrive them, ignore them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, case, not_, or_, select, update
from sqlalchemy.engine import Connection

from app.db import events, totals
from app.db.overtaking import SENDING
from app.db.plain_rows import plain_rows
from app.db.retention import EMPTIED
from app.db.tables import deliveries, jobs, notifications
from app.domain.history import Event, EventKind
from app.domain.promise import Hold


class Queue(StrEnum):
    """The queues an operator may look into. A job is fal's: neither redriven nor ignored."""

    DELIVERIES = "deliveries"
    NOTIFICATIONS = "notifications"
    JOBS = "jobs"


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes rows by hand, and why, as the history keeps it; `via` is what they used: cli, api or dashboard."""

    who: str | None = None
    why: str | None = None
    via: str = "cli"


BY_NOBODY = Act()
CHANGEABLE = (Queue.DELIVERIES, Queue.NOTIFICATIONS)
TABLES: dict[Queue, Table] = {
    Queue.DELIVERIES: deliveries,
    Queue.NOTIFICATIONS: notifications,
    Queue.JOBS: jobs,
}
OVERTAKEN = "overtaken"  # the reason of a failure whose owner is told of the success instead
_HIDDEN = {"nonce"}  # whoever has it can name our webhook's address for this job
_NOT_LISTED = {"body", "headers", "detail", "digest", "photos_sha256", *_HIDDEN}
_REDRIVABLE = ("pending", "dead", "ignored", "unsent")
_IGNORABLE = ("pending", "dead", "unsent")


def recent(connection: Connection, queue: Queue, *, state: str | None, limit: int) -> list[dict[str, Any]]:
    """List rows, newest first, without bodies."""
    table = TABLES[queue]
    columns = [column for column in table.c if column.name not in _NOT_LISTED]
    statement = select(*columns).order_by(table.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(table.c.state == state)
    return plain_rows(connection, statement)


def find(connection: Connection, queue: Queue, key: str) -> list[dict[str, Any]]:
    """Find rows whole, by our id or by fal's request id (the header's or the body's)."""
    table = TABLES[queue]
    matches = [table.c.request_id == key]
    if "fal_request_id" in table.c:
        matches.append(table.c.fal_request_id == key)
    if key.isascii() and key.isdigit() and len(key) < 19:  # noqa: PLR2004  what a BIGINT holds
        matches.append(table.c.id == int(key))
    shown = [column for column in table.c if column.name not in _HIDDEN]
    statement = select(*shown).where(or_(*matches)).order_by(table.c.id)
    return plain_rows(connection, statement)


def has_done(connection: Connection, ids: Sequence[int]) -> bool:
    """Tell whether one of these deliveries is done."""
    done = select(deliveries.c.id).where(deliveries.c.id.in_(ids), deliveries.c.state == "done").limit(1)
    return connection.execute(done).first() is not None


def redrive(
    connection: Connection,
    queue: Queue,
    ids: Sequence[int],
    *,
    note: str,
    now: datetime,
    drifted: Sequence[int] = (),
    act: Act = BY_NOBODY,
) -> list[int]:
    """Make rows due at once, with a clean count of failures; of done deliveries those that are `drifted`.

    Left as they are: what retention has emptied, what a success has overtaken, a message that is held, and one that is
    being sent while its lease lasts (the fence would not stop it, and a copy would follow).
    """
    table = TABLES[queue]
    return _change(
        connection,
        queue,
        ids,
        or_(table.c.state.in_(_REDRIVABLE), and_(table.c.state == "done", table.c.id.in_(drifted))),
        _is_whole(queue),
        table.c.reason.is_distinct_from(OVERTAKEN),
        not_(and_(table.c.reason.is_not_distinct_from(SENDING), table.c.due_at > now)),
        or_(table.c.reason.is_(None), table.c.reason.not_in(list(Hold))),
        values={
            "state": "pending",
            # Keep the mark of a send that died: the next send may be a second copy and must count as uncertain.
            "reason": case((table.c.reason == SENDING, SENDING), else_="redriven"),
            "detail": note,
            "due_at": now,
            "failures": 0,
            "finished_at": None,
        },
        line=Event(now, EventKind.REDRIVEN.value, who=act.who, why=act.why),
    )


def ignore(
    connection: Connection, queue: Queue, ids: Sequence[int], *, note: str, now: datetime, act: Act = BY_NOBODY
) -> list[int]:
    """Close rows for good."""
    values = {"state": "ignored", "detail": note, "finished_at": now}
    # A message's note would hide that it was emptied; a delivery without a body cannot but be ignored.
    whole = [_is_whole(queue)] if queue is Queue.NOTIFICATIONS else []
    line = Event(now, EventKind.IGNORED.value, who=act.who, why=act.why)
    return _change(connection, queue, ids, TABLES[queue].c.state.in_(_IGNORABLE), *whole, values=values, line=line)


def _is_whole(queue: Queue) -> ColumnElement[bool]:
    if queue is Queue.DELIVERIES:
        return deliveries.c.body.is_not(None)
    return notifications.c.detail.is_distinct_from(EMPTIED)


def _change(
    connection: Connection,
    queue: Queue,
    ids: Sequence[int],
    in_state: ColumnElement[bool],
    *only: ColumnElement[bool],
    values: dict[str, Any],
    line: Event,
) -> list[int]:
    if queue not in CHANGEABLE:
        raise ValueError("jobs are neither redriven nor ignored")
    table = TABLES[queue]
    wanted = (
        select(table.c.id, table.c.state, table.c.kind, table.c.attempt, table.c.reason)
        .where(table.c.id.in_(ids), in_state, *only)
        .order_by(table.c.id)
        .with_for_update()
    )
    found = connection.execute(wanted).all()
    changed = sorted(row.id for row in found)
    if found:
        # Raising the attempt ends every claim on the row.
        change = update(table).where(table.c.id.in_(changed)).values(attempt=table.c.attempt + 1, **values)
        connection.execute(change)
        moves = [(row.state, values["state"]) for row in found if totals.is_counted(row.kind)]
        totals.add(connection, totals.moved(table, moves))
        of = "delivery_id" if queue is Queue.DELIVERIES else "notification_id"
        lines = [line._replace(attempt=row.attempt + 1, reason=row.reason, **{of: row.id}) for row in found]
        events.note(connection, lines)
    return changed


def unaddressed(connection: Connection, ids: Sequence[int]) -> dict[int, str]:
    """Find which of these notifications have no chat id; return the owner of each."""
    statement = select(notifications.c.id, notifications.c.owner_id).where(
        notifications.c.id.in_(ids), notifications.c.chat_id.is_(None)
    )
    return {row.id: row.owner_id for row in connection.execute(statement)}


def address(connection: Connection, row_id: int, chat_id: int | None) -> None:
    """Set where a notification goes."""
    connection.execute(update(notifications).where(notifications.c.id == row_id).values(chat_id=chat_id))
