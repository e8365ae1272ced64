"""The queue's two statements, the same for the inbox and the outbox: claim what is due, finish what was claimed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache
from operator import attrgetter
from typing import Any

from sqlalchemy import Executable, Integer, Row, Select, Table, bindparam, exists, literal_column, or_, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from app.db.bulk_update import UpdateMany
from app.db.engine import UtcDateTime
from app.domain.delivery import Claim
from app.domain.errors import ClaimLost
from app.domain.verdict import Bury, Done, Retry, Verdict

NOW = bindparam("now", type_=UtcDateTime())  # of whoever claims, in `marks` as well
_LEASE_UNTIL = bindparam("lease_until", type_=UtcDateTime())


def is_pending(table: Table) -> ColumnElement[bool]:
    """Tell whether a row waits, as the partial indexes spell it.

    With a parameter in the place of the word SQLite plans the statement anew each time (72 µs instead of 4 for the look
    at three queues), and PostgreSQL's generic plans know no partial index.
    """
    return table.c.state == literal_column("'pending'")


def claim_due(
    connection: Connection,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    *,
    now: datetime,
    lease_until: datetime,
    limit: int,
    marks: Mapping[str, Any] | None = None,
    only: Sequence[ColumnElement[bool]] = (),
) -> list[Row[*tuple[Any, ...]]]:
    """Take up to `limit` due rows, oldest first, until `lease_until`; return these `columns` (`id` among them).

    `marks` are more columns to set, `only` more conditions. A row that is not finished by then is due again, which is
    all that recovery from a crash needs. Rows that another replica is claiming at this moment are skipped (SKIP LOCKED;
    SQLite has one writer anyway).
    """
    statement = _claiming(table, tuple(columns), tuple((marks or {}).items()), tuple(only))
    given = {"now": now, "lease_until": lease_until, "most": limit}
    return sorted(connection.execute(statement, given).all(), key=attrgetter("id"))


@lru_cache(64)
def _claiming(
    table: Table,
    columns: tuple[ColumnElement[Any], ...],
    marks: tuple[tuple[str, Any], ...],
    only: tuple[ColumnElement[bool], ...],
) -> Executable:
    """Build the statement once, as the following: that costs more than running it."""
    due = _due(table, (table.c.id,), only).cte("due").prefix_with("MATERIALIZED")
    return (
        update(table)
        .where(table.c.id.in_(select(due.c.id)))
        .values(due_at=_LEASE_UNTIL, attempt=table.c.attempt + 1, **dict(marks))
        .returning(*columns)
    )


def lock_due(
    connection: Connection,
    table: Table,
    columns: Sequence[ColumnElement[Any]],
    *,
    now: datetime,
    limit: int,
    only: Sequence[ColumnElement[bool]] = (),
) -> list[Row[*tuple[Any, ...]]]:
    """Take up to `limit` due rows, oldest first, until the transaction ends; return these `columns`.

    What is finished in the same transaction needs no lease: nobody else sees it before, and a crash undoes it whole.
    """
    return list(connection.execute(_due(table, tuple(columns), tuple(only)), {"now": now, "most": limit}).all())


@lru_cache(64)
def _due(
    table: Table, columns: tuple[ColumnElement[Any], ...], only: tuple[ColumnElement[bool], ...]
) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .where(is_pending(table), table.c.due_at <= NOW, *only)
        .order_by(table.c.due_at, table.c.id)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True)
    )


Conditions = tuple[ColumnElement[bool], ...]


def due_tables(
    connection: Connection, tables: Sequence[Table], now: datetime, only: Mapping[Table, Conditions] | None = None
) -> list[bool]:
    """Tell of each queue whether a row is due, in one query without a lock.

    `only` are the conditions under which a queue's rows are claimed: what nobody may claim must wake nobody.
    """
    conditions = tuple((only or {}).get(table, ()) for table in tables)
    return list(connection.execute(_look(tuple(tables), conditions), {"now": now}).one())


@cache
def _look(tables: tuple[Table, ...], only: tuple[Conditions, ...]) -> Select[*tuple[Any, ...]]:
    """Build the query once: it runs every second for ever, and building it costs more than running it."""
    looks = [
        exists().where(is_pending(table), table.c.due_at <= NOW, *conditions).label(table.name)
        for table, conditions in zip(tables, only, strict=True)
    ]
    return select(*looks)


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


def finish(
    connection: Connection,
    table: Table,
    rows: Sequence[tuple[Claim, Mapping[str, Any]]],
    *,
    is_locked: bool = False,
    states: tuple[str, ...] = ("pending",),
) -> None:
    """Write the columns of each claimed row, or of each that `lock_due` took (`is_locked`), which counts its attempt.

    `states` are those that a claimed row may be in.

    Raises ClaimLost (and so undoes the whole transaction) when one of them is no longer ours: its lease ran out
    and another worker claimed it, or an operator finished it.
    """
    if not rows:
        return
    matched = _finish(table, tuple(rows[0][1]), is_locked, states)(
        connection, [({"id": claim.id, "attempt": claim.attempt}, values) for claim, values in rows]
    )
    if matched != len(rows):
        raise ClaimLost(f"{len(rows) - matched} of {len(rows)} rows of {table.name} were claimed anew")


@cache
def _finish(table: Table, names: tuple[str, ...], is_locked: bool, states: tuple[str, ...]) -> UpdateMany:
    fixed = {"attempt": table.c.attempt + 1} if is_locked else {}
    return UpdateMany(table, match=("id", "attempt"), given=names, fixed=fixed, only=[_in_state(table, states)])


def _in_state(table: Table, states: tuple[str, ...]) -> ColumnElement[bool]:
    return or_(*(table.c.state == state for state in states))
