"""What flows did → counts of this process (`Measures`). What `try` sends is in none, as it is in no total."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from app.db.inbox import Receipt
from app.db.outbox import Told
from app.domain.delivery import Delivery
from app.domain.job import JobKind
from app.domain.look import Trouble, Unsaid
from app.domain.measures import REPEATED, STORED, UNKNOWN_TRAINER, Measures
from app.domain.notification import NotificationState, OwnerMessage, Topic
from app.domain.send_outcome import SendOutcome
from app.domain.training import Plan
from app.domain.verdict import Bury, Done, Retry, Verdict
from app.fal.payload import FalAnswer
from app.flows.item import Item

POSTPONED, BURIED = "postponed", "buried"
PROGRESS = "progress"  # the topic that tries to show progress are counted under
RESULTS = (Topic.READY, Topic.FAILED)  # what an owner waits for
# The word of each outcome of a send, by its class.
SEND_OUTCOMES = {
    "Sent": "sent",
    "Unreachable": "unreachable",
    "Rejected": "rejected",
    "NotEditable": "not_editable",
    "SlowDown": "slow_down",
    "NotYet": "not_yet",
    "Uncertain": "uncertain",
    "Down": "down",
    "TokenRefused": "token_refused",
    "NoToken": "no_token",
}


def count_stored(
    measures: Measures, group: Sequence[tuple[Delivery, datetime]], receipts: Sequence[Receipt], now: datetime
) -> None:
    """Count a group of deliveries that was committed just now."""
    received, accept = measures.received, measures.accept
    measures.commit_rows.add(len(group))
    for (delivery, _), receipt in zip(group, receipts, strict=True):
        if delivery.kind is not JobKind.TEST:
            received[STORED if receipt.new else REPEATED] += 1
            accept.add((now - delivery.received_at).total_seconds())


def count_plans(measures: Measures, plans: Sequence[tuple[Item, Plan]], now: datetime) -> None:
    """Count what a batch of deliveries became, when it was committed just now."""
    for item, plan in plans:
        kind = item.claimed.kind
        if kind is JobKind.TEST:
            continue
        measures.applied[kind.value, outcome_of(plan.verdict)] += 1
        if isinstance(plan.verdict, Retry | Bury):
            continue
        measures.to_applied.add((now - item.claimed.received_at).total_seconds())
        if plan.lasted is not None and isinstance(plan.notification, OwnerMessage):
            trainer = plan.notification.trainer
            name = UNKNOWN_TRAINER if trainer is None else trainer.value
            measures.training[name].add(plan.lasted.total_seconds())


def outcome_of(verdict: Verdict) -> str:
    """Name what became of a delivery: the reason it is done with, or that it waits, or was set aside."""
    match verdict:
        case Retry():
            return POSTPONED
        case Bury():
            return BURIED
        case _:
            return verdict.why


def count_sent(measures: Measures, topic: str, outcome: SendOutcome) -> None:
    """Count one try to show something in a chat."""
    measures.sends[topic, SEND_OUTCOMES[type(outcome).__name__]] += 1


def count_asked(measures: Measures, asked: str, said: FalAnswer | Unsaid) -> None:
    """Count one question to fal's queue by the class of its answer, or by why there was none."""
    if isinstance(said, FalAnswer):
        measures.asked[asked, f"{said.status // 100}xx"] += 1
    elif said.trouble is not Trouble.NO_FAL_KEY:  # without a key nothing was asked
        measures.asked[asked, said.trouble.value] += 1


def count_told(measures: Measures, told: Told) -> None:
    """Count how long an owner waited for a result, once it is on record that it was sent."""
    is_sent = isinstance(told.judgement.verdict, Done) and told.judgement.state is NotificationState.SENT
    if is_sent and told.claimed.notification.topic in RESULTS:
        waited: timedelta = told.finished_at - told.claimed.received_at
        measures.to_told.add(waited.total_seconds())
