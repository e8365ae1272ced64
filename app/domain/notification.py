"""What an owner or the operator must hear; `app.telegram.wording` knows how it is worded."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from app.domain.alert import Alert, AlertLevel, Condition
from app.domain.delivery import Claim
from app.domain.digest import Digest, read_digest
from app.domain.images import OwedImages
from app.domain.trainer import Trainer

OPERATOR = "00000000-0000-0000-0000-000000000000"  # the owner_id of messages to the operator; no user has this id
_OPENING = "%Y%m%dT%H%M%S%f"


class Topic(StrEnum):
    """What a message is about. One message per (subject, request id, topic), for ever."""

    READY = "ready"
    FAILED = "failed"
    CORRECTION = "correction"  # the last message said the opposite of what is true now
    TROUBLE_OURS = "trouble_ours"  # a result waits for the operator, who knows; it is still to come
    ACCOUNT_BACK = "account_back"  # what a failure with Cause.OUR_ACCOUNT promised: it works again
    IMAGES = "images"  # of a generation
    IMAGES_FAILED = "images_failed"
    TEST = "test"  # the rest goes to the operator: of `aisha-webhook try`
    ALERT = "alert"
    RESOLVED = "resolved"
    DIGEST = "digest"


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
    OUR_ACCOUNT = "our_account"  # fal locked our account: nothing works until the operator has paid, who must know
    RESULT_GONE = "result_gone"  # the training may have succeeded; fal forgot what it gave
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """The Telegram person who paid for the training. `chat_id` is None where the stored id is not a chat id.

    `timezone` is the bot's word for it (`app.domain.owner_zone`), empty where there is none.
    """

    id: str
    chat_id: int | None
    language: str
    timezone: str = ""


@dataclass(frozen=True, slots=True)
class OwnerMessage:
    """One thing that an owner must hear about a job of theirs.

    `subject` is the id of the bot's row that the job is about, `name` what the owner calls it. `cause` is set for
    `Topic.FAILED`, and for a correction that tells of a failure. `overtakes`: a failure of the same job may still wait
    to be told, and must not be any more. `trainer` is the avatar's type, None where it is not known. `images` are set
    for `Topic.IMAGES`, whose `name` is what the owner asked for.
    """

    subject: str
    name: str
    request_id: str
    topic: Topic
    owner: Owner
    cause: Cause | None = None
    overtakes: bool = False
    trainer: Trainer | None = None
    images: OwedImages | None = None


@dataclass(frozen=True, slots=True)
class OwnerTopics:
    """What an owner was told of a job: each topic that was ever owed, and how the last message has it.

    `is_ready` is what the last message said that was sent (or will be, whatever comes): None where there is none.
    """

    owed: frozenset[Topic] = frozenset()
    is_ready: bool | None = None


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """One turn of an alert that the operator must hear of: `Topic.ALERT`, or `Topic.RESOLVED` once it is over.

    `machine` is the host it holds on, empty where the fact is shared. Identity: the condition on that machine, when it
    opened, and how bad it was then.
    """

    condition: Condition
    machine: str
    level: AlertLevel
    detail: str
    opened_at: datetime
    topic: Topic
    owner: Owner

    @property
    def subject(self) -> str:
        """Name the opening, such as `20261129T101112123456.critical`."""
        return f"{self.opened_at:{_OPENING}}.{self.level}"

    @property
    def request_id(self) -> str:
        """Name the alert, such as `certificate_refused@web-1`."""
        return f"{self.condition}@{self.machine}" if self.machine else self.condition.value


@dataclass(frozen=True, slots=True)
class DigestMessage:
    """What the operator hears once a day. Identity: the day, such as 2026-11-29, by the operator's clock."""

    day: str
    digest: Digest
    owner: Owner
    topic: Topic = Topic.DIGEST

    @property
    def subject(self) -> str:
        """Name the day."""
        return self.day

    @property
    def request_id(self) -> str:
        """Name what it is."""
        return Topic.DIGEST.value


Notification = OwnerMessage | AlertMessage | DigestMessage


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
    is_buried: bool = False  # the claim buried it: too many processes died while they sent it

    @property
    def images(self) -> OwedImages | None:
        """The images that it shows; None where it is about none."""
        return self.notification.images if isinstance(self.notification, OwnerMessage) else None


def alert_message(alert: Alert, topic: Topic, *, chat_id: int, language: str) -> AlertMessage:
    """Make the message about an alert as it stands."""
    operator = Owner(OPERATOR, chat_id, language)
    detail = alert.detail or alert.name
    return AlertMessage(alert.condition, alert.machine, alert.level, detail, alert.opened_at, topic, operator)


def read_notification(
    *,
    subject: str,
    name: str,
    request_id: str,
    topic: Topic,
    owner: Owner,
    cause: str | None,
    trainer: str | None = None,
    images: OwedImages | None = None,
) -> Notification:
    """Read a notification back from what was stored of it. Raises ValueError for words that there are not."""
    if topic is Topic.DIGEST:
        return DigestMessage(subject, read_digest(name), owner)
    if topic not in (Topic.ALERT, Topic.RESOLVED):
        kind = None if trainer is None else Trainer(trainer)
        return OwnerMessage(
            subject,
            name,
            request_id,
            topic,
            owner,
            None if cause is None else Cause(cause),
            trainer=kind,
            images=images,
        )
    opening, _, level = subject.rpartition(".")
    _, _, machine = request_id.partition("@")
    opened_at = datetime.strptime(opening, _OPENING).replace(tzinfo=UTC)
    return AlertMessage(Condition(cause or ""), machine, AlertLevel(level), name, opened_at, topic, owner)
