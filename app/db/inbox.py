"""The inbox: deliveries, stored before anyone understands them. It is the queue of `apply` as well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Row, select, update
from sqlalchemy.engine import Connection
from sqlalchemy.sql.elements import ColumnElement

from app.db import events, queue, totals
from app.db.inbox_rows import PENDING_TOTAL, Found, Identity, put_in_postgresql, put_in_sqlite
from app.db.inbox_rows import Row as Given
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
ALL_KINDS = frozenset(JobKind)  # what a newer version put in beside us is left to it


class Receipt(NamedTuple):
    """The row that holds a delivery, and whether this call made it (False: a repeat)."""

    id: int
    new: bool


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
    rows: dict[Identity, Given] = {}
    for delivery, stored_at in group:
        identity = (delivery.request_id, delivery.body_sha256)
        earlier = rows.get(identity)
        rows[identity] = (delivery, stored_at, 0) if earlier is None else (*earlier[:2], earlier[2] + 1)
    in_order = [row for _, row in sorted(rows.items())]
    if connection.dialect.name == "sqlite":
        found = put_in_sqlite(connection, in_order)
        _count(connection, found, rows)
    else:
        found = put_in_postgresql(connection, in_order)
    receipts = {identity: Receipt(row_id, is_new) for row_id, is_new, identity in found}
    return [receipts[delivery.request_id, delivery.body_sha256] for delivery, _ in group]


def _count(connection: Connection, found: Sequence[Found], rows: Mapping[Identity, Given]) -> None:
    """Add to the totals what SQLite was given; PostgreSQL's statement does so itself."""
    new = copies = 0
    for _, is_new, identity in found:
        delivery, _, repeats = rows[identity]
        if totals.is_counted(delivery.kind):
            new += is_new
            copies += repeats + 1
    totals.add(connection, {PENDING_TOTAL: new, totals.DUPLICATES: copies - new})


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
