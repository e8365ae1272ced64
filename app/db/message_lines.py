"""What the history says of a message."""

from datetime import datetime
from typing import Any

from sqlalchemy import Row

from app.domain.history import Event, EventKind, is_worth_keeping
from app.domain.notification import ClaimedNotification, NotificationState
from app.domain.verdict import Bury, Retry, Verdict

_DONE = {
    NotificationState.SENT: EventKind.TOLD,
    NotificationState.UNSENT: EventKind.UNSENT,
    NotificationState.DEAD: EventKind.BURIED,
    NotificationState.IGNORED: EventKind.OVERTAKEN,
}


def line_of(claimed: ClaimedNotification, verdict: Verdict, state: NotificationState, at: datetime) -> Event | None:
    """Say what became of a message (`state` is what Done stands for); None of one that waits its turn, or fails on."""
    claim, kind = claimed.claim, EventKind.POSTPONED
    if not isinstance(verdict, Retry):
        kind = EventKind.BURIED if isinstance(verdict, Bury) else _DONE[state]
    elif not (verdict.failed and is_worth_keeping(claimed.failures + 1)):
        return None
    return Event(at, kind.value, notification_id=claim.id, attempt=claim.attempt, reason=verdict.why)


def closed(row: Row[*tuple[Any, ...]], now: datetime) -> Event:
    """Say why a claim closed a message instead of sending it."""
    is_overtaken = row.state == NotificationState.IGNORED
    kind, reason = (EventKind.OVERTAKEN, "overtaken") if is_overtaken else (EventKind.BURIED, "outcome_unknown")
    return Event(now, kind.value, notification_id=row.id, attempt=row.attempt, reason=reason)
