"""The inbox: deliveries, stored before anyone understands them. It is the queue of `apply` as well."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import orjson
from sqlalchemy.engine import Connection

from app.db import queue, wake
from app.db.tables import deliveries
from app.domain.delivery import Claim, ClaimedDelivery, Delivery, DeliveryState
from app.domain.job import JobKind
from app.domain.verdict import Verdict

Identity = tuple[str, str]  # (request_id, body_sha256)
_KNOWN = deliveries.c.kind.in_(list(JobKind))  # what a newer version put in beside us is left to it


@dataclass(frozen=True, slots=True)
class Receipt:
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
    copies = Counter((delivery.request_id, delivery.body_sha256) for delivery, _ in group)
    first: dict[Identity, tuple[Delivery, datetime]] = {}
    for delivery, stored_at in group:
        first.setdefault((delivery.request_id, delivery.body_sha256), (delivery, stored_at))
    moment = _spell_moment if connection.dialect.name == "sqlite" else _keep_moment
    values: list[object] = []
    for key, (delivery, stored_at) in sorted(first.items()):
        stored, received = moment(stored_at), moment(delivery.received_at)
        values += (
            "pending",
            stored,
            delivery.request_id,
            delivery.body_sha256,
            delivery.body,
            orjson.dumps(delivery.headers).decode(),
            delivery.source.value,
            delivery.kind.value,
            copies[key] - 1,
            received,
            stored,
            received,
        )
    found = connection.exec_driver_sql(_upsert(connection.dialect.name, len(first)), tuple(values))
    receipts = {
        (row.request_id, row.body_sha256): Receipt(row.id, row.repeats == copies[row.request_id, row.body_sha256] - 1)
        for row in found
    }
    if any(receipt.new for receipt in receipts.values()):
        wake.announce(connection, wake.WakeTopic.INBOX)
    return [receipts[delivery.request_id, delivery.body_sha256] for delivery, _ in group]


@lru_cache(maxsize=1024)
def _upsert(dialect: str, rows: int) -> str:
    """Spell the hot path's one statement for the driver: building it by SQLAlchemy costs ten times the insert."""
    columns = (
        "state, due_at, request_id, body_sha256, body, headers, source, kind, repeats, "
        "received_at, stored_at, last_received_at"
    )
    mark = "?" if dialect == "sqlite" else "%s"
    row = f"({', '.join([mark] * len(columns.split(',')))})"
    return (
        f"INSERT INTO webhook_deliveries ({columns}) VALUES {', '.join([row] * rows)} "  # noqa: S608  constants only  # nosec B608
        "ON CONFLICT (request_id, body_sha256) DO UPDATE SET "
        "repeats = webhook_deliveries.repeats + excluded.repeats + 1, last_received_at = excluded.last_received_at "
        "RETURNING id, repeats, request_id, body_sha256"
    )


def _spell_moment(at: datetime) -> str:
    """Spell a moment as SQLAlchemy keeps it in SQLite: UTC, without zone, always with microseconds."""
    return at.astimezone(UTC).isoformat(" ", "microseconds")[:26]


def _keep_moment(at: datetime) -> datetime:
    return at


def claim(connection: Connection, *, now: datetime, lease_until: datetime, limit: int) -> list[ClaimedDelivery]:
    """Claim due deliveries, oldest first."""
    rows = queue.claim_due(connection, deliveries, now=now, lease_until=lease_until, limit=limit, only=[_KNOWN])
    return [
        ClaimedDelivery(
            Claim(row["id"], row["attempt"]),
            row["failures"],
            row["request_id"],
            row["body"],
            row["received_at"],
            row["stored_at"],
            JobKind(row["kind"]),
        )
        for row in rows
    ]


def finish(connection: Connection, finished: Sequence[Finished], now: datetime) -> None:
    """Write the verdicts of claimed deliveries. Raises ClaimLost as `queue.finish` does."""
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
    queue.finish(connection, deliveries, rows)
