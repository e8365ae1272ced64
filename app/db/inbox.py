"""The inbox: deliveries, stored before anyone understands them. It is the queue of `apply` as well."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy.sql.dml import ReturningInsert

from app.db import queue, wake
from app.db.engine import Transaction, upsert_into
from app.db.tables import deliveries
from app.domain.delivery import Claim, ClaimedDelivery, Delivery, DeliveryState
from app.domain.verdict import Verdict


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


async def put(transaction: Transaction, group: Sequence[tuple[Delivery, datetime]]) -> list[Receipt]:
    """Store a group of (delivery, stored_at); a repeat of a stored one only counts up `repeats`.

    Rows are written in the order of their identity, so that two replicas storing the same deliveries do not deadlock.
    """
    copies = Counter((delivery.request_id, delivery.body_sha256) for delivery, _ in group)
    first: dict[tuple[str, str], tuple[Delivery, datetime]] = {}
    for delivery, stored_at in group:
        first.setdefault((delivery.request_id, delivery.body_sha256), (delivery, stored_at))
    rows = [
        {
            "state": DeliveryState.PENDING,
            "due_at": stored_at,
            "request_id": delivery.request_id,
            "body_sha256": delivery.body_sha256,
            "body": delivery.body,
            "headers": orjson.dumps(delivery.headers).decode(),
            "source": delivery.source,
            "repeats": copies[key] - 1,
            "received_at": delivery.received_at,
            "stored_at": stored_at,
            "last_received_at": delivery.received_at,
        }
        for key, (delivery, stored_at) in sorted(first.items())
    ]
    found = await transaction.execute(_upsert(transaction), rows)
    receipts = {
        (row.request_id, row.body_sha256): Receipt(row.id, row.repeats == copies[row.request_id, row.body_sha256] - 1)
        for row in found
    }
    if any(receipt.new for receipt in receipts.values()):
        await wake.announce(transaction, wake.Topic.INBOX)
    return [receipts[delivery.request_id, delivery.body_sha256] for delivery, _ in group]


def _upsert(transaction: Transaction) -> ReturningInsert[Any]:
    statement = upsert_into(transaction, deliveries)
    return statement.on_conflict_do_update(
        index_elements=["request_id", "body_sha256"],
        set_={
            "repeats": deliveries.c.repeats + statement.excluded.repeats + 1,
            "last_received_at": statement.excluded.last_received_at,
        },
    ).returning(deliveries.c.id, deliveries.c.repeats, deliveries.c.request_id, deliveries.c.body_sha256)


async def claim(transaction: Transaction, *, now: datetime, lease_until: datetime, limit: int) -> list[ClaimedDelivery]:
    """Claim due deliveries, oldest first."""
    rows = await queue.claim_due(transaction, deliveries, now=now, lease_until=lease_until, limit=limit)
    return [
        ClaimedDelivery(
            Claim(row["id"], row["attempt"]),
            row["failures"],
            row["request_id"],
            row["body"],
            row["received_at"],
            row["stored_at"],
        )
        for row in rows
    ]


async def finish(transaction: Transaction, finished: Sequence[Finished], now: datetime) -> None:
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
    await queue.finish(transaction, deliveries, rows)
