"""Totals that are kept while rows change: whoever asks for one adds up a few rows and counts no large table.

Whoever moves a row from one state to another says so here, in the same transaction. A row of this table belongs to one
writer, so that nobody waits for another's commit: on PostgreSQL the session that the transaction runs in, which no two
have at a time; SQLite has one writer. `fold` puts together what sessions leave behind.
"""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select, Table, delete, func, or_, select, tuple_
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from app.db.tables import deliveries, notifications, totals
from app.domain.delivery import DeliveryState
from app.domain.notification import NotificationState

DUPLICATES = "duplicates"
RECOVERED = "recovered"  # `recovered.training`: results that fal was asked for, because no delivery brought them
OPERATED = "operated"  # `operated.redrive.cli`: rows that an operator changed, and through what
UNCOUNTED = "test"  # the kind of deliveries and of messages that are in no total: docs/commands.md, `try`
FOLDED = 0  # the writer of what was put together; on PostgreSQL no session has this number
STATES: Mapping[Table, Sequence[str]] = {
    deliveries: [state.value for state in DeliveryState],
    notifications: [state.value for state in NotificationState],
}
COUNT_UP = "ON CONFLICT (name, writer) DO UPDATE SET amount = webhook_totals.amount + excluded.amount"
# Spelt for the drivers, as the inbox spells its own: building it costs more than running it.
_ADD = f"INSERT INTO webhook_totals (name, writer, amount) VALUES (?, {FOLDED}, ?) {COUNT_UP}"  # noqa: S608  constants only  # nosec B608
_ADD_AT_ONCE = f"""
INSERT INTO webhook_totals (name, writer, amount)
SELECT name, coalesce(%s, pg_backend_pid()), amount FROM unnest(%s::text[], %s::bigint[]) AS given(name, amount)
{COUNT_UP}
"""  # noqa: S608  constants only  # nosec B608


def named(queue: Table, state: str) -> str:
    """Name the total of a queue's rows in one state, such as `deliveries.done`."""
    return f"{queue.name.removeprefix('webhook_')}.{state}"


def moved(queue: Table, moves: Iterable[tuple[str, str]]) -> Counter[str]:
    """Say what changes when rows of a queue go from one state to another."""
    changes: Counter[str] = Counter()
    for (old, new), rows in Counter(moves).items():
        changes[named(queue, old)] -= rows
        changes[named(queue, new)] += rows
    return changes


def is_counted(kind: str) -> bool:
    """Tell whether rows of this kind are in the totals."""
    return kind != UNCOUNTED


def recovered(kind: str) -> str:
    """Name the total of results of one kind of job that fal was asked for."""
    return f"{RECOVERED}.{kind}"


def operated(operation: str, via: str) -> str:
    """Name the total of rows that one operation changed. `via`: `cli`, `api`, `dashboard`."""
    return f"{OPERATED}.{operation}.{via}"


_SUMS = select(totals.c.name, func.sum(totals.c.amount)).group_by(totals.c.name)
_KNOWN = (*(named(queue, state) for queue, states in STATES.items() for state in states), DUPLICATES)


def add(connection: Connection, changes: Mapping[str, int]) -> None:
    """Change totals by these amounts, together with what else the transaction does."""
    _add(connection, changes, writer=None)


def _add(connection: Connection, changes: Mapping[str, int], *, writer: int | None) -> None:
    rows = [(name, amount) for name, amount in sorted(changes.items()) if amount]
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # its driver
        driver.executemany(_ADD, rows)
    else:
        names, amounts = zip(*rows, strict=True)
        connection.exec_driver_sql(_ADD_AT_ONCE, (writer, list(names), list(amounts)))


def read(connection: Connection) -> dict[str, int]:
    """Read every total. None is below 0, as one may be for a while beside a server that does not count."""
    found = {name: max(0, int(amount)) for name, amount in connection.execute(_SUMS)}
    return {name: found.get(name, 0) for name in _KNOWN}


def read_done(connection: Connection) -> dict[str, int]:
    """Read the totals of what was done, such as `recovered.training`: they only grow, and start with the first."""
    wanted = or_(totals.c.name.startswith(f"{RECOVERED}."), totals.c.name.startswith(f"{OPERATED}."))
    return {name: int(amount) for name, amount in connection.execute(_SUMS.where(wanted))}


def differences(connection: Connection, queue: Table) -> dict[str, int]:
    """Count a queue really; return by how much its totals are short of it (negative: above it).

    One statement, so that rows and totals are of the same moment whatever is committed meanwhile.
    """
    found = connection.execute(_counted(queue)).mappings().one()
    short = {name: int(found[f"rows {name}"]) - int(found[f"kept {name}"]) for name in _names(queue)}
    return {name: amount for name, amount in short.items() if amount}


def _names(queue: Table) -> dict[str, ColumnElement[int]]:
    """Give each total of a queue, and how it is counted in one pass over the rows."""
    counts: dict[str, Any] = {
        named(queue, state): func.count().filter(queue.c.state == state) for state in STATES[queue]
    }
    if queue is deliveries:
        counts[DUPLICATES] = func.coalesce(func.sum(queue.c.repeats), 0)
    return counts


def _counted(queue: Table) -> Select[*tuple[Any, ...]]:
    counts = _names(queue)
    kept = [
        select(func.coalesce(func.sum(totals.c.amount), 0))
        .where(totals.c.name == name)
        .scalar_subquery()
        .label(f"kept {name}")
        for name in counts
    ]
    return (
        select(*(count.label(f"rows {name}") for name, count in counts.items()), *kept)
        .select_from(queue)
        .where(queue.c.kind != UNCOUNTED)
    )


def fold(connection: Connection) -> int:
    """Put the rows of all writers together; return how many. What a transaction under way holds is left for later."""
    key = (totals.c.name, totals.c.writer)
    others = select(*key, totals.c.amount).where(totals.c.writer != FOLDED).with_for_update(skip_locked=True)
    rows = connection.execute(others).all()
    if rows:
        connection.execute(delete(totals).where(tuple_(*key).in_([(row.name, row.writer) for row in rows])))
        changes: Counter[str] = Counter()
        for row in rows:
            changes[row.name] += row.amount
        _add(connection, changes, writer=FOLDED)
    return len(rows)
