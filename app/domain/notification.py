"""What an owner or the operator must hear; `app.telegram.wording` knows how it is worded."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.alert import Alert, AlertLevel, Condition
from app.domain.delivery import Claim

OPERATOR = "00000000-0000-0000-0000-000000000000"  # stands for the operator where a row names its owner: nobody's id


class Topic(StrEnum):
    """The kinds of message. One message per (avatar, request id, kind), for ever."""

    READY = "ready"
    FAILED = "failed"
    ALERT = "alert"  # this and the next go to the operator
    RESOLVED = "resolved"


class NotificationState(StrEnum):
    """Where a notification stands. `pending` is the only state that is not final."""

    PENDING = "pending"
    SENT = "sent"
    UNSENT = "unsent"  # no Telegram token: written to the log instead
    DEAD = "dead"
    IGNORED = "ignored"


class Cause(StrEnum):
    """Why a training failed, as far as an owner can act on it."""

    CONTENT_POLICY = "content_policy"
    NO_FACE = "no_face"
    BAD_IMAGE = "bad_image"
    IMAGE_SIZE = "image_size"
    BAD_ARCHIVE = "bad_archive"
    TOO_FEW_IMAGES = "too_few_images"
    TOO_MANY_IMAGES = "too_many_images"
    DOWNLOAD = "download"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    FAL_TROUBLE = "fal_trouble"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """The Telegram person who paid for the training. `chat_id` is None where the stored id is not a chat id."""

    id: str
    chat_id: int | None
    language: str


@dataclass(frozen=True, slots=True)
class Notification:
    """One thing an owner must hear. `cause` is set for `Kind.FAILED` only.

    `overtakes`: a failure of the same training may still wait to be told, and must not be any more.
    """

    avatar_id: str
    avatar_name: str
    request_id: str
    kind: Topic
    owner: Owner
    cause: Cause | Condition | None = None
    overtakes: bool = False


@dataclass(frozen=True, slots=True)
class ClaimedNotification:
    """A notification with the right to finish it, and when its delivery arrived, was stored and was applied."""

    claim: Claim
    failures: int
    uncertain: int  # sends whose outcome is unknown (a timeout after the request left): Telegram has no idempotency key
    notification: Notification
    received_at: datetime
    stored_at: datetime
    applied_at: datetime
    send_at: datetime  # the slot that pacing gave it
    is_buried: bool = False  # the claim itself set it aside: processes died over it as often as it may be risked


def read_cause(kind: Topic, word: str | None) -> Cause | Condition | None:
    """Read what was stored as the cause of a notification. Raises ValueError for a word there is not."""
    if word is None:
        return None
    return Condition(word) if kind in (Topic.ALERT, Topic.RESOLVED) else Cause(word)


def tell_operator(alert: Alert, kind: Topic, *, chat_id: int, language: str) -> Notification:
    """Make the message about an alert as it stands (`Kind.ALERT`, or `Kind.RESOLVED` once it is over)."""
    opening = f"{alert.opened_at:%Y%m%dT%H%M%S%f}.{alert.level}"
    operator = Owner(OPERATOR, chat_id, language)
    return Notification(opening, alert.detail or alert.name, alert.name, kind, operator, alert.condition)


def alert_of(notification: Notification) -> tuple[AlertLevel, str]:
    """Read back what `tell_operator` put in: the level, and the machine ('' where the fact is shared)."""
    return AlertLevel(notification.avatar_id.rpartition(".")[2]), notification.request_id.partition("@")[2]
