"""The inbox: deliveries, stored before anyone understands them. It is the queue of `apply` as well."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Row, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from app.db import events, queue, totals, wake
from app.db.bulk_update import spell_moment
from app.db.tables import deliveries
from app.domain.delivery import Claim, ClaimedDelivery, Delivery, DeliveryState, Source
from app.domain.history import Event, EventKind, is_worth_keeping
from app.domain.job import JobKind
from app.domain.verdict import Bury, Done, Retry, Verdict

_CLAIMED = [
    deliveries.c[name]
    for name in (
        "id", "attempt", "failures", "request_id", "body", "received_at", "stored_at", "kind", "source", "reason",
        "nonce",
    )
]  # fmt: skip
MOST_AT_ONCE = 64  # rows of a statement on SQLite
Identity = tuple[str, str]  # (request_id, body_sha256)
ALL_KINDS = frozenset(JobKind)  # what a newer version put in beside us is left to it


@dataclass(frozen=True, slots=True)
class Receipt:
    """The row that holds a delivery, and whether this call made it (False: a repeat)."""

    id: int
    new: bool


_Row = tuple[Delivery, datetime, int]  # stored_at; how often it is repeated within the group
_Found = tuple[int, bool, str, str]  # the row's id, whether it is new, its identity
_COLUMNS = (
    "due_at, request_id, body_sha256, body, headers, source, kind, nonce, repeats, received_at, stored_at, "
    "last_received_at"
)
_COUNT_UP = (
    "ON CONFLICT (request_id, body_sha256) DO UPDATE SET "
    "repeats = webhook_deliveries.repeats + excluded.repeats + 1, last_received_at = excluded.last_received_at "
    "RETURNING id, repeats, request_id, body_sha256"
)
# Spelt for the drivers: building them by SQLAlchemy costs ten times the insert.
_INTO = f"INTO webhook_deliveries (state, {_COLUMNS}) VALUES"
_ROW = f"('pending', {', '.join('?' * 12)})"
_UPSERT = f"INSERT {_INTO} {_ROW} {_COUNT_UP}"
_SINCE = "SELECT id, request_id, body_sha256 FROM webhook_deliveries WHERE id >= ?"
_PENDING_TOTAL = totals.named(deliveries, DeliveryState.PENDING)
_COUNTS = f"given.kind <> '{totals.UNCOUNTED}'"
# One statement with the announcement and the totals in it, so that it needs no transaction around it.
_AT_ONCE = f"""
WITH given AS (
  SELECT * FROM unnest(%s::text[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::text[],
    %s::int[], %s::timestamptz[], %s::timestamptz[])
    AS given(request_id, body_sha256, body, headers, source, kind, nonce, repeats, received_at, stored_at)
), stored AS (
  INSERT INTO webhook_deliveries (state, {_COLUMNS})
  SELECT 'pending', stored_at, request_id, body_sha256, body, headers, source, kind, nonce, repeats, received_at,
    stored_at, received_at
  FROM given {_COUNT_UP}
), seen AS (
  SELECT count(*) FILTER (WHERE stored.repeats = given.repeats) AS fresh,
    count(*) FILTER (WHERE stored.repeats = given.repeats AND {_COUNTS}) AS new,
    coalesce(sum(1 + given.repeats) FILTER (WHERE {_COUNTS}), 0) AS copies
  FROM stored JOIN given USING (request_id, body_sha256)
), announced AS (
  SELECT pg_notify('{wake.CHANNEL}', '{wake.WakeTopic.INBOX}') FROM seen WHERE fresh > 0
), counted AS (
  INSERT INTO webhook_totals (name, writer, amount)
  SELECT name, pg_backend_pid(), amount
  FROM seen, LATERAL (VALUES ('{_PENDING_TOTAL}', new), ('{totals.DUPLICATES}', copies - new)) AS each(name, amount)
  WHERE amount > 0 {totals.COUNT_UP}
)
SELECT stored.* FROM stored LEFT JOIN announced ON true
"""  # noqa: S608  constants only  # nosec B608


@dataclass(frozen=True, slots=True)
class Finished:
    """A claimed delivery's end (or its next try). `fal_request_id` is the body's own id once it was read."""

    claimed: ClaimedDelivery
    verdict: Verdict
    fal_request_id: str | None


def put(connection: Connection, group: Sequence[tuple[Delivery, datetime]]) -> list[Receipt]:
    """Store a group of (delivery, stored_at); a repeat of a stored one only counts up `repeats`.

    Rows are written in the order of their identity, so that two replicas storing the same deliveries do not deadlock.
    """
    copies = Counter((delivery.request_id, delivery.body_sha256) for delivery, _ in group)
    first: dict[Identity, tuple[Delivery, datetime]] = {}
    for delivery, stored_at in group:
        first.setdefault((delivery.request_id, delivery.body_sha256), (delivery, stored_at))
    rows = [(*row, copies[identity] - 1) for identity, row in sorted(first.items())]
    if connection.dialect.name == "sqlite":
        found = _put_in_sqlite(connection, rows)
        counted = {identity for identity, (delivery, _) in first.items() if totals.is_counted(delivery.kind)}
        new = sum(is_new for _, is_new, *identity in found if tuple(identity) in counted)
        given = sum(copies[identity] for identity in counted)
        totals.add(connection, {_PENDING_TOTAL: new, totals.DUPLICATES: given - new})
    else:
        found = _put_in_postgresql(connection, rows)
    receipts = {(request_id, sha): Receipt(row_id, new=new) for row_id, new, request_id, sha in found}
    return [receipts[delivery.request_id, delivery.body_sha256] for delivery, _ in group]


def _put_in_sqlite(connection: Connection, rows: Sequence[_Row]) -> list[_Found]:
    """Insert the rows, then count up those that were there already.

    Many rows share a statement: between two statements this thread gives up the interpreter's lock and has to wait for
    it, which costs more than a row does.
    """
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # its driver
    cursor = driver.cursor()
    before = driver.total_changes
    for part in _parts(rows):
        cursor.execute(_insert(len(part)), [value for row in part for value in _sqlite_values(row)])
    new = driver.total_changes - before
    first = (cursor.lastrowid or 0) - new + 1  # one writer: the ids follow one another
    if new == len(rows):
        return [(first + place, True, row[0].request_id, row[0].body_sha256) for place, row in enumerate(rows)]
    found = [(row_id, True, *identity) for row_id, *identity in cursor.execute(_SINCE, (first,))] if new else []
    stored = {tuple(identity) for _, _, *identity in found}
    for row in rows:
        if (row[0].request_id, row[0].body_sha256) not in stored:
            [(row_id, _, *identity)] = cursor.execute(_UPSERT, _sqlite_values(row)).fetchall()
            found.append((row_id, False, *identity))
    return found


def _parts(rows: Sequence[_Row]) -> Iterator[Sequence[_Row]]:
    """Cut into powers of two: few lengths, so that the driver keeps each one's statement."""
    start = 0
    while start < len(rows):
        size = min(MOST_AT_ONCE, 1 << (len(rows) - start).bit_length() - 1)
        yield rows[start : start + size]
        start += size


@cache
def _insert(rows: int) -> str:
    # A row that breaks a constraint undoes the transaction, which it ends anyway: to be able to undo this statement
    # alone, SQLite would first copy every page that it changes.
    return f"INSERT OR ROLLBACK {_INTO} {', '.join([_ROW] * rows)} ON CONFLICT DO NOTHING"


def _put_in_postgresql(connection: Connection, rows: Sequence[_Row]) -> list[_Found]:
    deliveries_, moments, repeats = zip(*rows, strict=True)
    parameters = (
        [one.request_id for one in deliveries_],
        [one.body_sha256 for one in deliveries_],
        [one.body for one in deliveries_],
        [orjson.dumps(one.headers).decode() for one in deliveries_],
        [one.source.value for one in deliveries_],
        [one.kind.value for one in deliveries_],
        [one.nonce for one in deliveries_],
        list(repeats),
        [one.received_at for one in deliveries_],
        list(moments),
    )
    found = connection.exec_driver_sql(_AT_ONCE, parameters).all()
    given = {(row[0].request_id, row[0].body_sha256): row[2] for row in rows}
    return [(row_id, count == given[request_id, sha], request_id, sha) for row_id, count, request_id, sha in found]


def _sqlite_values(row: _Row) -> tuple[object, ...]:
    delivery, stored_at, repeats = row
    stored, received = spell_moment(stored_at), spell_moment(delivery.received_at)
    return (
        stored,
        delivery.request_id,
        delivery.body_sha256,
        delivery.body,
        orjson.dumps(delivery.headers).decode(),
        delivery.source.value,
        delivery.kind.value,
        delivery.nonce,
        repeats,
        received,
        stored,
        received,
    )


def claim(
    connection: Connection, *, now: datetime, lease_until: datetime, limit: int, kinds: frozenset[JobKind] = ALL_KINDS
) -> list[ClaimedDelivery]:
    """Claim due deliveries of these kinds, oldest first; others are left as they are."""
    only = _of(kinds)
    rows = queue.claim_due(connection, deliveries, _CLAIMED, now=now, lease_until=lease_until, limit=limit, only=only)
    return _claimed(rows)


def lock(
    connection: Connection, *, now: datetime, limit: int, kinds: frozenset[JobKind] = ALL_KINDS
) -> list[ClaimedDelivery]:
    """Take due deliveries of these kinds, oldest first, until the transaction ends; `finish` them with `is_locked`."""
    return _claimed(queue.lock_due(connection, deliveries, _CLAIMED, now=now, limit=limit, only=_of(kinds)))


def take(connection: Connection, ids: Sequence[int], kinds: frozenset[JobKind]) -> list[ClaimedDelivery]:
    """Take the pending ones among these deliveries until the transaction ends, due or not, as `lock` does."""
    columns = deliveries.c
    wanted = select(*_CLAIMED).where(columns.id.in_(ids), columns.state == DeliveryState.PENDING, *_of(kinds))
    return _claimed(connection.execute(wanted.order_by(columns.due_at, columns.id).with_for_update()).all())


@cache
def _of(kinds: frozenset[JobKind]) -> tuple[ColumnElement[bool], ...]:
    return (deliveries.c.kind.in_(sorted(kinds)),)


def keep(
    connection: Connection, locked: Sequence[ClaimedDelivery], lease_until: datetime, now: datetime
) -> list[ClaimedDelivery]:
    """Claim deliveries that `lock` took, for longer than the transaction."""
    if not locked:
        return []
    columns = deliveries.c
    ids = [one.claim.id for one in locked]
    connection.execute(
        update(deliveries).where(columns.id.in_(ids)).values(due_at=lease_until, attempt=columns.attempt + 1)
    )
    kept = [replace(one, claim=Claim(one.claim.id, one.claim.attempt + 1)) for one in locked]
    lines = [
        Event(now, EventKind.CLAIMED.value, one.claim.id, attempt=one.claim.attempt)
        for one in kept
        if totals.is_counted(one.kind)
    ]
    events.note(connection, lines)
    return kept


def _claimed(rows: Sequence[Row[*tuple[Any, ...]]]) -> list[ClaimedDelivery]:
    return [
        ClaimedDelivery(
            Claim(row_id, attempt), failures, request_id, body, received, stored, JobKind(kind), _source(source), *more
        )
        for row_id, attempt, failures, request_id, body, received, stored, kind, source, *more in rows
    ]


def _source(word: str) -> Source:
    """Read a source; what a newer version knows besides ours came from fal as well."""
    return Source.RECONCILE if word == Source.RECONCILE else Source.WEBHOOK


def finish(connection: Connection, finished: Sequence[Finished], now: datetime, *, is_locked: bool = False) -> None:
    """Write the verdicts of claimed deliveries, or of locked ones. Raises ClaimLost as `queue.finish` does."""
    rows = [
        (
            item.claimed.claim,
            {
                "fal_request_id": item.fal_request_id,
                **queue.verdict_columns(item.verdict, done=DeliveryState.DONE, failures=item.claimed.failures, now=now),
            },
        )
        for item in finished
    ]
    queue.finish(connection, deliveries, rows, is_locked=is_locked)
    moves = [
        (DeliveryState.PENDING, values["state"])
        for item, (_, values) in zip(finished, rows, strict=True)
        if totals.is_counted(item.claimed.kind)
    ]
    totals.add(connection, totals.moved(deliveries, moves))
    lines = [_line(item, now, is_locked) for item in finished if totals.is_counted(item.claimed.kind)]
    events.note(connection, [line for line in lines if line is not None])


def _line(item: Finished, now: datetime, is_locked: bool) -> Event | None:
    """Say what became of a delivery; None of what has been said before: it waits on, or fails on."""
    claimed, verdict = item.claimed, item.verdict
    match verdict:
        case Done():
            kind = EventKind.APPLIED
        case Bury():
            kind = EventKind.BURIED
        case Retry(_, why, failed):
            if why == claimed.reason and not (failed and is_worth_keeping(claimed.failures + 1)):
                return None
            kind = EventKind.POSTPONED
    return Event(now, kind.value, claimed.claim.id, attempt=claimed.claim.attempt + is_locked, reason=verdict.why)


def not_pending(connection: Connection, ids: Sequence[int]) -> frozenset[int]:
    """Tell which of these deliveries have ended."""
    statement = select(deliveries.c.id).where(deliveries.c.id.in_(ids), deliveries.c.state != DeliveryState.PENDING)
    return frozenset(connection.execute(statement).scalars())
