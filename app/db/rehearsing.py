"""What a rehearsal and an act look at: how rows stand, and which of a search's rows are meant."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.engine import Connection

from app.db.operator_queries import TABLES, Queue
from app.db.outbox import MARKS
from app.db.plain_rows import plain_rows
from app.db.tables import notifications
from app.db.views.conditions import where
from app.db.views.pages import page
from app.db.views.time_limit import time_limit
from app.domain.errors import SearchTooWide
from app.domain.search import Search

MOST_ROWS = 100_000  # of one act
PATIENCE = 5.0  # s
_AT_ONCE = 5_000  # ids in one statement
MEANT = ("pending", "dead", "unsent")  # what a search means where it names no state itself
TOO_MANY = f"an act takes at most {MOST_ROWS:,} rows: narrow the search"


class RowStand(NamedTuple):
    """How a row of a queue stands. Whatever changes it raises its attempt or moves its state."""

    id: int
    attempt: int
    state: str


def stands(connection: Connection, queue: Queue, ids: Sequence[int]) -> list[RowStand]:
    """Look how rows stand, in the order of their ids; keeps them from changing until the transaction ends."""
    table = TABLES[queue]
    found = []
    for some in _parts(sorted(set(ids))):
        statement = select(table.c.id, table.c.attempt, table.c.state).where(table.c.id.in_(some))
        found += [RowStand(*row) for row in connection.execute(statement.order_by(table.c.id).with_for_update())]
    return found


def meant(connection: Connection, queue: Queue, search: Search, *, is_redrive: bool) -> list[RowStand]:
    """Find the rows that an act on a whole search means, in the order of their ids.

    Finished and ignored rows are meant only where the search names their state. A message that may have arrived is
    never sent again by a search. Raises SearchTooWide beyond MOST_ROWS.
    """
    table = TABLES[queue]
    if search.contains is not None:
        found = page(connection, queue, search, limit=MOST_ROWS)
        if found.older is not None or not found.is_whole:
            raise SearchTooWide(TOO_MANY)
        rows = [RowStand(row["id"], row["attempt"], row["state"]) for row in reversed(found.rows)]
        return [row for row in rows if search.state is not None or row.state in MEANT]
    with time_limit(connection, PATIENCE):
        wanted = where(connection, table, search)
        if wanted.is_nothing:
            return []
        statement = select(table.c.id, table.c.attempt, table.c.state).where(*wanted.terms)
        if search.state is None:
            statement = statement.where(table.c.state.in_(MEANT))
        if table is notifications and is_redrive:
            statement = statement.where(notifications.c.uncertain == 0)
        rows = [RowStand(*row) for row in connection.execute(statement.order_by(wanted.key()).limit(MOST_ROWS + 1))]
    if len(rows) > MOST_ROWS:
        raise SearchTooWide(TOO_MANY)
    return rows


def rows_of(connection: Connection, queue: Queue, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Read rows whole but for bodies."""
    table = TABLES[queue]
    shown = [column for column in table.c if column.name not in ("body", "headers")]
    return {row["id"]: row for row in plain_rows(connection, select(*shown).where(table.c.id.in_(ids)))}


def names_of(connection: Connection, queue: Queue, ids: Sequence[int]) -> dict[int, set[str]]:
    """Read by which request ids rows are known: what acts on one of them may change what is done with the others."""
    columns = TABLES[queue].c
    named = [columns.request_id] + ([columns.fal_request_id] if "fal_request_id" in columns else [])
    found = connection.execute(select(columns.id, *named).where(columns.id.in_(ids)))
    return {row_id: {name for name in names if name} for row_id, *names in found}


def messages_of(connection: Connection, request_ids: Iterable[str]) -> dict[int, dict[str, Any]]:
    """Read the messages about these requests."""
    told = select(notifications).where(notifications.c.request_id.in_(sorted(set(request_ids))))
    return {row["id"]: row for row in plain_rows(connection, told.order_by(notifications.c.id))}


def at_their_claim(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Tell what a claim of these messages would make of them: (state, reason)."""
    found = select(notifications.c.id, MARKS["state"], MARKS["reason"]).where(notifications.c.id.in_(ids))
    return {row_id: (state, reason) for row_id, state, reason in connection.execute(found)}


def _parts(ids: Sequence[int]) -> Iterator[list[int]]:
    rest = iter(ids)
    while some := list(islice(rest, _AT_ONCE)):
        yield some
