"""Pages of the queues' rows, newest first, by keyset: a page is found by an id, whether its row is still there or not.

Every function takes a connection of `database.read` and raises SearchTooWide where it would take longer than PATIENCE.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Table, func, literal, or_, select
from sqlalchemy.engine import Connection

from app.db.operator_queries import TABLES, Queue
from app.db.plain_rows import plain_rows
from app.db.tables import deliveries, jobs, notifications
from app.db.views.conditions import Ids, Where, ids_within, where
from app.db.views.time_limit import time_limit
from app.db.views.walks import distinct
from app.domain.errors import SearchTooWide
from app.domain.search import QUEUES, Search

PATIENCE = 0.5  # s
SCANNED = 0.35  # s after which no further bodies are looked at
MOST_COUNTED = 10_000  # above it a count says "10,000+"
MOST_FACETED = 2_000  # the same for each facet: a page has many of them
FACET_PATIENCE = 0.06  # s for each of them
SEARCHED_BODIES = 200_000  # newest rows in whose bodies `contains` looks
CHUNK = 10_000
_UNSHOWN = {"body", "headers", "detail", "digest", "nonce", "body_sha256"}


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, newest first. `older` and `newer` are the ids to ask on with (`before=`, `after=`), None at an end.

    `searched` tells in how many of the newest bodies `contains` looked, None where it was not asked for; `is_whole` is
    False where older ones were not looked at, by SEARCHED_BODIES or for want of time.
    """

    rows: list[dict[str, Any]]
    older: int | None = None
    newer: int | None = None
    searched: int | None = None
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Amount:
    """How many rows match, up to MOST_COUNTED; `is_more` where there are more, or where counting took too long."""

    rows: int
    is_more: bool = False

    def __str__(self) -> str:
        """Spell it as pages do: `10,000+`, `?`."""
        return f"{self.rows:,}{'+' if self.is_more else ''}" if self.rows or not self.is_more else "?"


@dataclass(frozen=True, slots=True)
class Facets:
    """How many rows of a search there are by state, and by reason.

    A state's amount leaves the search's own state aside, a reason's its reason. `of` is how many of the newest rows the
    reasons are counted in; None: in all.
    """

    states: dict[str, Amount]
    reasons: dict[str, Amount]
    of: int | None = None


def page(
    connection: Connection,
    queue: Queue,
    search: Search,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Page:
    """Read one page: the newest rows, those older than the id `before`, or the next ones newer than the id `after`.

    Rows are without bodies; a delivery has `avatar_id`, `avatar_name`, `owner_id`, `chat_id` and `told` (the state of
    its owner's message), None where nobody was told yet.
    """
    table = TABLES[queue]
    shown = [column for column in table.c if column.name not in _UNSHOWN]
    if search.contains is not None:
        found = _containing(connection, search, shown, before=before, limit=limit)
        with time_limit(connection, PATIENCE):
            _add_told(connection, found.rows)
        return found
    with time_limit(connection, PATIENCE):
        wanted = where(connection, table, search)
        if wanted.is_nothing:
            return Page([])
        if after is not None:
            found = _newer(connection, wanted, shown, after, limit)
        else:
            statement = wanted.newest(*shown, older_than=before).limit(limit + 1)
            rows = plain_rows(connection, statement)
            found = Page(rows[:limit], older=_last(rows, limit), newer=_first(rows, before))
        if table is deliveries:
            _add_told(connection, found.rows)
        return found


def _last(rows: Sequence[dict[str, Any]], limit: int) -> int | None:
    return rows[limit - 1]["id"] if len(rows) > limit else None


def _first(rows: Sequence[dict[str, Any]], before: int | None) -> int | None:
    if before is None:
        return None
    return rows[0]["id"] if rows else before - 1


def _newer(connection: Connection, wanted: Where, shown: Sequence[ColumnElement[Any]], after: int, limit: int) -> Page:
    statement = wanted.oldest(*shown, newer_than=after).limit(limit + 1)
    rows = plain_rows(connection, statement)
    kept = rows[:limit][::-1]
    older = kept[-1]["id"] if kept else after + 1
    return Page(kept, older=older, newer=_last(rows, limit))


@dataclass(slots=True)
class _Scan:
    """A walk through bodies, newest first, until enough is found or the time is over."""

    connection: Connection
    wanted: Where
    end: float
    searched: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    def walk(self, shown: Sequence[ColumnElement[Any]], needle: str, *, before: int | None, limit: int) -> bool:
        """Walk; tell whether there is nothing older to look at, or nothing more is needed."""
        while self.searched < SEARCHED_BODIES:
            ids = self.wanted.newest(deliveries.c.id, older_than=before).limit(CHUNK).subquery()
            lowest, amount = self.connection.execute(select(func.min(ids.c.id), func.count())).one()
            if not amount:
                return True
            holds = _holds(self.connection, needle)
            chunk = self.wanted.newest(*shown, older_than=before).where(deliveries.c.id >= lowest, holds)
            self.rows += plain_rows(self.connection, chunk.limit(limit + 1 - len(self.rows)))
            self.searched += amount
            if len(self.rows) > limit or amount < CHUNK:
                return True
            if time.monotonic() > self.end:
                return False
            before = lowest
        return False


def _holds(connection: Connection, needle: str) -> ColumnElement[bool]:
    """Look for the words in the bytes, as they are or as JSON may spell them."""
    body = deliveries.c.body
    spelled = {needle.encode("utf-8", "surrogatepass"), json.dumps(needle)[1:-1].encode()}
    if connection.dialect.name == "sqlite":
        return or_(*(func.instr(body, literal(one)) > 0 for one in sorted(spelled)))
    return or_(*(func.position(literal(one).op("IN")(body)) > 0 for one in sorted(spelled)))


def _containing(
    connection: Connection, search: Search, shown: Sequence[ColumnElement[Any]], *, before: int | None, limit: int
) -> Page:
    with time_limit(connection, PATIENCE):
        wanted = where(connection, deliveries, search)
    if wanted.is_nothing:
        return Page([], searched=0)
    scan, is_whole = _Scan(connection, wanted, time.monotonic() + SCANNED), False
    try:
        with time_limit(connection, PATIENCE):
            is_whole = scan.walk(shown, search.contains or "", before=before, limit=limit)
    except SearchTooWide:
        if not scan.searched:
            raise
    rows = scan.rows
    return Page(rows[:limit], _last(rows, limit), _first(rows, before), scan.searched, is_whole)


def _add_told(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Say of deliveries whose they are: from their messages, else from their jobs."""
    names = [row["fal_request_id"] or row["request_id"] for row in rows]
    told = notifications.c
    messages = select(told.request_id, told.avatar_id, told.avatar_name, told.owner_id, told.chat_id, told.state)
    by_name: dict[str, Any] = {}
    known: dict[str, str | None] = {}
    if names:
        for message in connection.execute(messages.where(told.request_id.in_(names)).order_by(told.id)):
            by_name[message.request_id] = message
        subjects = select(jobs.c.request_id, jobs.c.subject).where(jobs.c.request_id.in_(names))
        known = {row.request_id: row.subject for row in connection.execute(subjects)}
    for row, name in zip(rows, names, strict=True):
        one = by_name.get(name)
        row["avatar_id"] = known.get(name) if one is None else one.avatar_id
        row["avatar_name"] = None if one is None else one.avatar_name
        row["owner_id"] = None if one is None else one.owner_id
        row["chat_id"] = None if one is None else one.chat_id
        row["told"] = None if one is None else one.state


def count(connection: Connection, queue: Queue, search: Search) -> Amount:
    """Count the rows of a search (`contains` aside, and times by ids alone), up to MOST_COUNTED."""
    with time_limit(connection, PATIENCE):
        return _count(connection, where(connection, TABLES[queue], search, is_exact=False), MOST_COUNTED)


def _count(connection: Connection, wanted: Where, most: int) -> Amount:
    if wanted.is_nothing:
        return Amount(0)
    table = wanted.table
    found = select(table.c.id).where(*wanted.terms).limit(most + 1).subquery()
    rows = connection.execute(select(func.count()).select_from(found)).scalar_one()
    return Amount(min(rows, most), is_more=rows > most)


def facets(connection: Connection, queue: Queue, search: Search) -> Facets:
    """Count a search (`contains` aside) by state and by reason; what cannot be counted in time is `?`."""
    table = TABLES[queue]
    with time_limit(connection, PATIENCE):
        ids = ids_within(connection, table, search, is_exact=False)
    probed: dict[str, int] = {}
    states = _by_state(connection, queue, search, ids, probed)
    with time_limit(connection, PATIENCE):
        if search.without("contains", "reason").is_empty():
            return Facets(states, _by_reason(connection, table))
        rest = search.without("contains", "reason")
        wanted = where(connection, table, rest, is_exact=False, ids=ids, probed=probed)
        return Facets(states, _among_newest(connection, wanted), of=MOST_FACETED)


def _by_state(
    connection: Connection, queue: Queue, search: Search, ids: Ids, probed: dict[str, int]
) -> dict[str, Amount]:
    table, rest = TABLES[queue], search.without("contains")

    def amount(state: str) -> Amount:
        try:
            with time_limit(connection, FACET_PATIENCE):
                one = replace(rest, state=state)
                wanted = where(connection, table, one, is_exact=False, ids=ids, probed=probed)
                return _count(connection, wanted, MOST_FACETED)
        except SearchTooWide:
            return Amount(0, is_more=True)

    return {str(state): amount(str(state)) for state in QUEUES[queue].words["state"]}


def _by_reason(connection: Connection, table: Table) -> dict[str, Amount]:
    reasons = distinct(connection, table.c.reason, table.c.reason.is_not(None))
    return _largest(
        {one: _count(connection, where(connection, table, Search(reason=one)), MOST_FACETED) for one in reasons}
    )


def _among_newest(connection: Connection, wanted: Where) -> dict[str, Amount]:
    if wanted.is_nothing:
        return {}
    newest = wanted.newest(wanted.table.c.reason).limit(MOST_FACETED).subquery()
    grouped = select(newest.c.reason, func.count()).where(newest.c.reason.is_not(None)).group_by(newest.c.reason)
    return _largest({reason: Amount(rows) for reason, rows in connection.execute(grouped)})


def _largest(amounts: dict[str, Amount]) -> dict[str, Amount]:
    return dict(sorted(amounts.items(), key=lambda one: (-one[1].rows, one[0])))
