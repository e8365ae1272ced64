"""What an owner must hear; `app.telegram.messages` knows how it is worded."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.delivery import Claim


class Kind(StrEnum):
    """The kinds of message. One message per (avatar, request id, kind), for ever."""

    READY = "ready"
    FAILED = "failed"


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
    """One thing an owner must hear. `cause` is set for `Kind.FAILED` only."""

    avatar_id: str
    avatar_name: str
    request_id: str
    kind: Kind
    owner: Owner
    cause: Cause | None = None


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
