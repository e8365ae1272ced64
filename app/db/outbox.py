"""The outbox: messages that are owed, put in the same commit as the change that they tell about."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, or_, update
from sqlalchemy.engine import Connection

from app.db import events, pacing, queue, totals, wake
from app.db.bulk_update import InsertMany
from app.db.message_lines import closed, line_of
from app.db.overtaking import OVERTAKEN, SENDING, overtake, release
from app.db.owed import Owed, owed_row
from app.db.tables import notifications
from app.domain.alert import Condition
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.images import OwedImages, read_images
from app.domain.notification import (
    Cause,
    ClaimedNotification,
    NotificationState,
    Owner,
    OwnerMessage,
    Topic,
    read_notification,
)
from app.domain.promise import Hold, hold_of
from app.domain.send_policy import Judgement
from app.domain.trainer import Trainer

HORIZON = timedelta(seconds=2)  # how far ahead slots are handed out
NO_DELIVERY = 0  # the delivery of a message that none caused
# A claim that finds the last one still under way: a process died there, or lost the database, and the message may have
# been sent. Mostly it was not, for it is claimed before its slot: so this may happen more often than a send in doubt.
DIED_LIMIT = 5
_DIED = notifications.c.reason == SENDING
_DIED_TOO_OFTEN = and_(_DIED, notifications.c.uncertain + 1 >= DIED_LIMIT)
# What a newer version put in beside us is left to the newer version; what is held is not due yet.
_KNOWN = (
    notifications.c.kind.in_(list(Topic)),
    or_(notifications.c.cause.is_(None), notifications.c.cause.in_([*Cause, *Condition])),
    or_(notifications.c.trainer.is_(None), notifications.c.trainer.in_(list(Trainer))),
    or_(notifications.c.reason.is_(None), notifications.c.reason.not_in(list(Hold))),
)


# What a claim finds is marked as under way, or closed. One statement, so that no claim costs a second look.
MARKS = {
    "uncertain": case((_DIED, notifications.c.uncertain + 1), else_=notifications.c.uncertain),
    "state": case(
        (OVERTAKEN, NotificationState.IGNORED),
        (_DIED_TOO_OFTEN, NotificationState.DEAD),
        else_=notifications.c.state,
    ),
    "reason": case((OVERTAKEN, "overtaken"), (_DIED_TOO_OFTEN, "outcome_unknown"), else_=SENDING),
    "finished_at": case((or_(OVERTAKEN, _DIED_TOO_OFTEN), queue.NOW), else_=notifications.c.finished_at),
}

_CLAIMED = [
    notifications.c[name]
    for name in (
        "id", "attempt", "failures", "uncertain", "state", "avatar_id", "avatar_name", "request_id", "kind", "cause",
        "owner_id", "chat_id", "language", "timezone", "trainer", "received_at", "stored_at", "applied_at", "images",
        "images_shown",
    )
]  # fmt: skip
_ONCE = InsertMany(
    notifications,
    given=(
        "state", "reason", "due_at", "finished_at", "delivery_id", "avatar_id", "request_id", "kind", "cause",
        "avatar_name", "owner_id", "chat_id", "language", "timezone", "trainer", "received_at", "stored_at",
        "applied_at", "images",
    ),
    unique=("avatar_id", "request_id", "kind"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """A claimed notification's end (or its next try), and when it was."""

    claimed: ClaimedNotification
    judgement: Judgement
    finished_at: datetime

    @property
    def images_shown(self) -> int:
        """How many of its images stand in the chat."""
        return self.judgement.images + (0 if self.claimed.images is None else self.claimed.images.shown)


def put(connection: Connection, items: Sequence[tuple[OwnerMessage, ClaimedDelivery]], now: datetime) -> None:
    """Owe the owners these messages about what was just applied, and those that they promise."""
    caused = [
        Owed(message, cause.claim.id, cause.received_at, cause.stored_at)
        for item, cause in items
        for message in (item, *_promised(item))
    ]
    owe(connection, caused, now)
    overtake(connection, [item for item, _ in items if item.overtakes], now)


def _promised(message: OwnerMessage) -> list[OwnerMessage]:
    """Make the message that another one promises."""
    if hold_of(message) is not Hold.ALERT:
        return []
    return [replace(message, topic=Topic.ACCOUNT_BACK, cause=None, overtakes=False)]


def owe(connection: Connection, owed: Sequence[Owed], now: datetime) -> int:
    """Owe these messages; return how many are new.

    One per (subject, request id, topic) for ever: a second one is dropped silently.
    """
    if not owed:
        return 0
    rows = [owed_row(item, now) for item in owed]
    made, new = {}, 0
    for state in sorted({row["state"] for row in rows}):
        for counts in (True, False):
            same = [row for row in rows if row["state"] == state and totals.is_counted(row["kind"]) is counts]
            written = _ONCE(connection, same) if same else 0
            new += written
            if counts:
                made[totals.named(notifications, state)] = written
    totals.add(connection, made)
    wake.announce(connection, wake.WakeTopic.OUTBOX)
    return new


def claim(
    connection: Connection, *, now: datetime, lease_until: datetime, limit: int, rate: float
) -> list[ClaimedNotification]:
    """Claim due notifications, oldest first, each with its slot in the bot's budget (`rate` per second, 0: unpaced).

    Those whose slot lies beyond the horizon, or whose chat must rest first, are put back until then. What must not be
    sent (again) is closed instead: an overtaken failure silently, a message over which processes died as often as may
    be risked as `is_buried`.
    """
    room = pacing.free_slots(connection, now=now, horizon=HORIZON, rate=rate)
    if room * 2 < HORIZON.total_seconds() * rate or room == 0:
        return []  # wait for several free slots: one claim per slot would cost more than the sending
    rows = queue.claim_due(
        connection,
        notifications,
        _CLAIMED,
        now=now,
        lease_until=lease_until,
        limit=min(limit, room),
        marks=MARKS,
        only=_KNOWN,
    )
    _count(connection, [(row.kind, row.state) for row in rows])
    events.note(connection, [closed(row, now) for row in rows if row.state != NotificationState.PENDING])
    buried = [_claimed(row, now, is_buried=True) for row in rows if row.state == NotificationState.DEAD]
    rows = [row for row in rows if row.state == NotificationState.PENDING]
    if not rows:
        return buried
    chats = [row.chat_id for row in rows]
    granted, put_back = pacing.take_slots(connection, chats, now=now, horizon=HORIZON, rate=rate)
    if put_back:
        connection.execute(
            update(notifications)
            .where(notifications.c.id == bindparam("row_id"))
            .values(due_at=bindparam("new_due_at"), reason="paced"),
            [{"row_id": rows[index].id, "new_due_at": at} for index, at in put_back.items()],
        )
    return buried + [_claimed(rows[index], send_at) for index, send_at in granted.items()]


def _claimed(row: Row[*tuple[Any, ...]], send_at: datetime, *, is_buried: bool = False) -> ClaimedNotification:
    notification = read_notification(
        subject=row.avatar_id,
        name=row.avatar_name,
        request_id=row.request_id,
        topic=Topic(row.kind),
        owner=Owner(row.owner_id, row.chat_id, row.language, row.timezone or ""),
        cause=row.cause,
        trainer=row.trainer,
        images=_images(row),
    )
    return ClaimedNotification(
        Claim(row.id, row.attempt),
        row.failures,
        row.uncertain,
        notification,
        row.received_at,
        row.stored_at,
        row.applied_at,
        send_at,
        is_buried,
    )


def _images(row: Row[*tuple[Any, ...]]) -> OwedImages | None:
    if row.images is None:
        return None
    return read_images(row.images, row.images_shown, is_in_doubt=row.uncertain > 0)


def finish(connection: Connection, told: Sequence[Told]) -> None:
    """Write what became of claimed notifications. Raises ClaimLost as `queue.finish` does."""
    rows: list[tuple[Claim, dict[str, Any]]] = [
        (
            item.claimed.claim,
            {
                "message_id": item.judgement.message_id,
                "uncertain": item.judgement.uncertain,
                "images_shown": item.images_shown,
                **queue.verdict_columns(
                    item.judgement.verdict,
                    done=item.judgement.state,
                    failures=item.claimed.failures,
                    now=item.finished_at,
                ),
            },
        )
        for item in told
    ]
    queue.finish(connection, notifications, rows)
    release(connection, [item.claimed.notification for item in told], max(item.finished_at for item in told))
    topics = [item.claimed.notification.topic for item in told]
    _count(connection, [(topic, values["state"]) for topic, (_, values) in zip(topics, rows, strict=True)])
    counted = [item for item in told if totals.is_counted(item.claimed.notification.topic)]
    lines = [line_of(item.claimed, item.judgement.verdict, item.judgement.state, item.finished_at) for item in counted]
    events.note(connection, [line for line in lines if line is not None])


def _count(connection: Connection, states: Sequence[tuple[str, str]]) -> None:
    """Count what pending rows have become, each given by its topic and its new state."""
    moves = [(NotificationState.PENDING, state) for topic, state in states if totals.is_counted(topic)]
    totals.add(connection, totals.moved(notifications, moves))
