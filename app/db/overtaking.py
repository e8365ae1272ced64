"""What a result has made untrue: it is not sent any more, and what is being sent comes before the result."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Update, and_, exists, or_, select, tuple_, update
from sqlalchemy.engine import Connection

from app.db import events, totals
from app.db.tables import notifications
from app.domain.history import Event, EventKind
from app.domain.notification import Notification, NotificationState, OwnerMessage, Topic

SENDING = "sending"
_ready = notifications.alias("ready")
# What a result has made untrue: a failure that was being sent when its success came or that an operator made due again,
# "you can begin anew" after it, and "we know of the trouble" after any result.
_OVERTAKING = {
    Topic.FAILED: (Topic.READY,),
    Topic.ACCOUNT_BACK: (Topic.READY, Topic.CORRECTION),
    Topic.TROUBLE_OURS: (Topic.READY, Topic.FAILED),
    Topic.IMAGES_FAILED: (Topic.IMAGES,),
}
OVERTAKEN = or_(
    *(
        and_(
            notifications.c.kind == topic,
            exists()
            .where(
                _ready.c.avatar_id == notifications.c.avatar_id,
                _ready.c.request_id == notifications.c.request_id,
                _ready.c.kind.in_(results),
            )
            .correlate(notifications),
        )
        for topic, results in _OVERTAKING.items()
    )
)
_FAILURES = (Topic.FAILED, Topic.IMAGES_FAILED)
_SUCCESSES = (Topic.READY, Topic.IMAGES)
_ABOUT = tuple_(notifications.c.avatar_id, notifications.c.request_id)


def overtake(connection: Connection, successes: Sequence[OwnerMessage], now: datetime) -> None:
    """Let no "failed" arrive after "ready", which is owed already: close those that wait, and wait for one under way.

    A message that another process is sending cannot be called back. The success is due when that one's lease ends, or
    when its end is recorded (`release`).
    """
    if not successes:
        return
    about = [(item.subject, item.request_id) for item in successes]
    overtaken = connection.execute(
        update(notifications)
        .where(
            _ABOUT.in_(about),
            notifications.c.kind == Topic.FAILED,
            notifications.c.state == NotificationState.PENDING,
            notifications.c.reason.is_distinct_from(SENDING),
        )
        .values(state=NotificationState.IGNORED, reason="overtaken", finished_at=now)
        .returning(notifications.c.id)
    )
    closed = overtaken.scalars().all()
    moves = [(NotificationState.PENDING, NotificationState.IGNORED)] * len(closed)
    totals.add(connection, totals.moved(notifications, moves))
    kind = EventKind.OVERTAKEN.value
    events.note(connection, [Event(now, kind, notification_id=row_id, reason="overtaken") for row_id in closed])
    under_way = select(notifications.c.avatar_id, notifications.c.request_id, notifications.c.due_at).where(
        _ABOUT.in_(about),
        notifications.c.kind.in_(_FAILURES),
        notifications.c.state == NotificationState.PENDING,
        notifications.c.reason == SENDING,
    )
    for *one, lease_until in connection.execute(under_way).all():
        connection.execute(_unsent([tuple(one)]).values(due_at=lease_until))


def release(connection: Connection, told: Sequence[Notification], now: datetime) -> None:
    """Make due what waits for these messages; their ends are recorded in this transaction."""
    about = [(one.subject, one.request_id) for one in told if one.topic in _FAILURES]
    if about:
        connection.execute(_unsent(about).where(notifications.c.due_at > now).values(due_at=now))


def _unsent(about: Sequence[tuple[str, str]]) -> Update:
    """Build the update of the owed successes with this subject and request id that no process has claimed."""
    return update(notifications).where(
        _ABOUT.in_(about),
        notifications.c.kind.in_(_SUCCESSES),
        notifications.c.state == NotificationState.PENDING,
        notifications.c.attempt == 0,
        notifications.c.reason.is_(None),
    )
