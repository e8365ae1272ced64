"""A delivery: one fal POST that we accepted, stored verbatim."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from app.domain.job import JobKind


class DeliveryState(StrEnum):
    """Where a delivery stands. `pending` is the only state that is not final."""

    PENDING = "pending"
    DONE = "done"
    DEAD = "dead"  # buried with a reason; an operator may redrive it
    IGNORED = "ignored"  # an operator said so


class Source(StrEnum):
    """How a delivery reached the inbox."""

    WEBHOOK = "webhook"
    RECONCILE = "reconcile"


class Delivery(NamedTuple):
    """What arrived, with its body not yet parsed.

    Identity: `(request_id, body_sha256)`. `request_id` is the signed header's value; the body may name
    the training by another id (fal's gateway id), which only `apply` reads. `body_sha256` is lower-case hex.
    `headers` holds the signed headers only.
    """

    request_id: str
    body: bytes
    body_sha256: str
    headers: dict[str, str]
    received_at: datetime
    source: Source = Source.WEBHOOK
    kind: JobKind = JobKind.TRAINING
    nonce: str | None = None  # of the submission whose webhook address this is


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one row until its lease ends. `attempt` is the fencing token: a newer claim raises it."""

    id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery together with the right to finish it."""

    claim: Claim
    failures: int  # how often it was retried because something failed (waiting as an orphan does not count)
    request_id: str
    body: bytes | None  # None once retention has emptied the row
    received_at: datetime
    stored_at: datetime
    kind: JobKind = JobKind.TRAINING
    source: Source = Source.WEBHOOK
    reason: str | None = None  # why it is due; None where it is due for the first time
    nonce: str | None = None


def milliseconds(start: datetime, end: datetime) -> float:
    """Tell how long a part of a delivery's way took."""
    return round((end - start).total_seconds() * 1000, 1)
