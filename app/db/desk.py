"""The operator's desk: rows to look at, one by one, and the two things that may be done to them."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Table, case, or_, select, update
from sqlalchemy.engine import RowMapping

from app.db.engine import Database, Transaction
from app.db.outbox import SENDING
from app.db.tables import deliveries, notifications


class Queue(StrEnum):
    """The two queues an operator may look into."""

    DELIVERIES = "deliveries"
    NOTIFICATIONS = "notifications"


_TABLES: dict[Queue, Table] = {Queue.DELIVERIES: deliveries, Queue.NOTIFICATIONS: notifications}
_NOT_LISTED = {"body", "headers", "detail"}
_REDRIVABLE = ("pending", "dead", "ignored", "unsent")
_IGNORABLE = ("pending", "dead", "unsent")


async def recent(database: Database, queue: Queue, *, state: str | None, limit: int) -> list[dict[str, Any]]:
    """List rows, newest first, without bodies."""
    table = _TABLES[queue]
    columns = [column for column in table.c if column.name not in _NOT_LISTED]
    statement = select(*columns).order_by(table.c.id.desc()).limit(limit)
    if state is not None:
        statement = statement.where(table.c.state == state)
    async with database.read() as connection:
        return [_plain(row) for row in (await connection.execute(statement)).mappings()]


async def find(database: Database, queue: Queue, key: str) -> list[dict[str, Any]]:
    """Find rows whole, by our id or by fal's request id (the header's or the body's)."""
    table = _TABLES[queue]
    matches = [table.c.request_id == key]
    if "fal_request_id" in table.c:
        matches.append(table.c.fal_request_id == key)
    if key.isascii() and key.isdigit() and len(key) < 19:  # noqa: PLR2004  what a BIGINT holds
        matches.append(table.c.id == int(key))
    statement = select(table).where(or_(*matches)).order_by(table.c.id)
    async with database.read() as connection:
        return [_plain(row) for row in (await connection.execute(statement)).mappings()]


def _plain(row: RowMapping) -> dict[str, Any]:
    """Name the columns by plain words; SQLAlchemy's names are a kind of string that JSON writers refuse."""
    return {str(name): value for name, value in row.items()}


async def redrive(transaction: Transaction, queue: Queue, ids: Sequence[int], *, note: str, now: datetime) -> list[int]:
    """Make rows due at once, with a clean count of failures. A row that retention has emptied stays as it is."""
    return await _change(
        transaction,
        queue,
        ids,
        _REDRIVABLE,
        {
            "state": "pending",
            # A send under way stays known as such, or a second copy would go uncounted.
            "reason": case((_TABLES[queue].c.reason == SENDING, SENDING), else_="redriven"),
            "detail": note,
            "due_at": now,
            "failures": 0,
            "finished_at": None,
        },
    )


async def ignore(transaction: Transaction, queue: Queue, ids: Sequence[int], *, note: str, now: datetime) -> list[int]:
    """Close rows for good."""
    return await _change(transaction, queue, ids, _IGNORABLE, {"state": "ignored", "detail": note, "finished_at": now})


def _not_emptied(table: Table) -> ColumnElement[bool]:
    return table.c.body.is_not(None) if "body" in table.c else table.c.avatar_name != ""


async def _change(
    transaction: Transaction, queue: Queue, ids: Sequence[int], states: Sequence[str], values: dict[str, Any]
) -> list[int]:
    table = _TABLES[queue]
    statement = (
        update(table)
        # The attempt is the fence: whoever holds a claim on the row loses it.
        .where(table.c.id.in_(ids), table.c.state.in_(states), _not_emptied(table))
        .values(attempt=table.c.attempt + 1, **values)
        .returning(table.c.id)
    )
    return sorted((await transaction.execute(statement)).scalars())
