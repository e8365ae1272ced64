"""The queue's two statements, the same for the inbox and the outbox: claim what is due, finish what was claimed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Table, exists, select, update
from sqlalchemy.engine import Connection, RowMapping
from sqlalchemy.sql.elements import ColumnElement

from app.db.bulk_update import UpdateMany
from app.domain.delivery import Claim
from app.domain.errors import ClaimLost
from app.domain.verdict import Bury, Done, Retry, Verdict


def claim_due(
    connection: Connection,
    table: Table,
    *,
    now: datetime,
    lease_until: datetime,
    limit: int,
    marks: Mapping[str, Any] | None = None,
    only: Sequence[ColumnElement[bool]] = (),
) -> list[RowMapping]:
    """Take up to `limit` due rows, oldest first, until `lease_until`.

    `marks` are more columns to set, `only` more conditions. A row that is not finished by then is due again, which is
    all that recovery from a crash needs. Rows that another replica is claiming at this moment are skipped (SKIP LOCKED;
    SQLite has one writer anyway).
    """
    due = (
        select(table.c.id)
        .where(table.c.state == "pending", table.c.due_at <= now, *only)
        .order_by(table.c.due_at, table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
        .prefix_with("MATERIALIZED")
    )
    claim = (
        update(table)
        .where(table.c.id.in_(select(due.c.id)))
        .values(due_at=lease_until, attempt=table.c.attempt + 1, **(marks or {}))
        .returning(*table.c)
    )
    rows = (connection.execute(claim)).mappings().all()
    return sorted(rows, key=lambda row: row["id"])


def due_tables(connection: Connection, tables: Sequence[Table], now: datetime) -> list[bool]:
    """Tell of each queue whether a row is due, in one query without a lock."""
    looks = [exists().where(table.c.state == "pending", table.c.due_at <= now).label(table.name) for table in tables]
    return list((connection.execute(select(*looks))).one())


def verdict_columns(verdict: Verdict, *, done: str, failures: int, now: datetime) -> dict[str, Any]:
    """Spell a verdict in the queue's columns. `done` is the final state that stands for Done."""
    match verdict:
        case Done(why):
            state, detail, due_at = done, None, now
        case Retry(due_at, why, failed):
            state, detail = "pending", None
            failures += failed
        case Bury(why, detail):
            state, due_at = "dead", now
    return {
        "state": state,
        "reason": why,
        "detail": detail,
        "due_at": due_at,
        "failures": failures,
        "finished_at": None if state == "pending" else now,
    }


def finish(connection: Connection, table: Table, rows: Sequence[tuple[Claim, Mapping[str, Any]]]) -> None:
    """Write the columns of each claimed row.

    Raises ClaimLost (and so undoes the whole connection) when one of them is no longer ours: its lease ran out
    and another worker claimed it, or an operator finished it.
    """
    if not rows:
        return
    matched = _finish(table, tuple(rows[0][1]))(
        connection, [({"id": claim.id, "attempt": claim.attempt}, values) for claim, values in rows]
    )
    if matched != len(rows):
        raise ClaimLost(f"{len(rows) - matched} of {len(rows)} rows of {table.name} were claimed anew")


@cache
def _finish(table: Table, names: tuple[str, ...]) -> UpdateMany:
    return UpdateMany(table, match=("id", "attempt"), given=names, only=[table.c.state == "pending"])
