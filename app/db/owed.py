"""A message that is owed, as a row of the outbox."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.digest import spell_digest
from app.domain.images import spell_images
from app.domain.notification import AlertMessage, DigestMessage, Notification, NotificationState, OwnerMessage
from app.domain.promise import HELD_FOR, hold_of


@dataclass(frozen=True, slots=True)
class Owed:
    """A message and what it is about: the delivery's id (or NO_DELIVERY), when it arrived and was stored."""

    notification: Notification
    delivery_id: int
    received_at: datetime
    stored_at: datetime


def owed_row(owed: Owed, now: datetime) -> dict[str, Any]:
    notification = owed.notification
    images = notification.images if isinstance(notification, OwnerMessage) else None
    has_address = notification.owner.chat_id is not None
    match notification:
        case OwnerMessage(name=name, cause=cause, trainer=trainer):
            hold = hold_of(notification) if has_address else None
        case AlertMessage(detail=name, condition=cause):
            hold, trainer = None, None
        case DigestMessage(digest=digest):
            name, cause, hold, trainer = spell_digest(digest), None, None, None
    return {
        "state": NotificationState.PENDING if has_address else NotificationState.DEAD,
        "reason": hold if has_address else "no_chat_id",
        "due_at": now if hold is None else now + HELD_FOR,
        "finished_at": None if has_address else now,
        "delivery_id": owed.delivery_id,
        "avatar_id": notification.subject,
        "request_id": notification.request_id,
        "kind": notification.topic,
        "cause": cause,
        "avatar_name": name,
        "owner_id": notification.owner.id,
        "chat_id": notification.owner.chat_id,
        "language": notification.owner.language,
        "timezone": notification.owner.timezone or None,
        "trainer": trainer,
        "images": None if images is None else spell_images(images),
        "received_at": owed.received_at,
        "stored_at": owed.stored_at,
        "applied_at": now,
    }
