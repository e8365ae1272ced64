"""Our view of an avatar row while it learns, and the one rule that changes it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.domain.artifact import ArtifactState
from app.domain.notification import Cause, Owner, OwnerMessage, Topic
from app.domain.verdict import Bury, Done, Retry, Verdict

URL_LIMIT = 500  # characters; width of avatars.diffusers_lora_file_url and config_file_url
FINETUNE_ID_LIMIT = 255  # characters; width of avatars.finetune_id


class TrainingStatus(StrEnum):
    """The statuses of avatars.status, whatever their spelling in the bot's revision."""

    DRAFT = "draft"
    PHOTOS_UPLOADING = "photos_uploading"
    READY_FOR_TRAINING = "ready_for_training"
    TRAINING = "training"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"


class Trainer(StrEnum):
    """The values of avatars.training_type."""

    PORTRAIT = "portrait"
    STYLE = "style"


@dataclass(frozen=True, slots=True)
class Artifacts:
    """What a training leaves behind: a LoRA (https URL, sometimes with a second for high noise) or a finetune id.

    Truthy when there is something an avatar can be generated with; a config file alone is not.
    """

    lora_url: str | None = None
    high_noise_lora_url: str | None = None
    config_url: str | None = None
    finetune_id: str | None = None

    def __bool__(self) -> bool:
        """Tell whether there is a LoRA or a finetune id."""
        return bool(self.lora_url or self.finetune_id)

    def same_product(self, other: "Artifacts") -> bool:
        """Compare what the avatar row keeps; the high-noise LoRA has no column of its own."""
        return (self.lora_url, self.finetune_id) == (other.lora_url, other.finetune_id)

    def too_long(self) -> str | None:
        """Name the first value that its column cannot hold, or None."""
        limits = (
            ("lora_url", self.lora_url, URL_LIMIT),
            ("config_url", self.config_url, URL_LIMIT),
            ("finetune_id", self.finetune_id, FINETUNE_ID_LIMIT),
        )
        return next((name for name, value, limit in limits if value is not None and len(value) > limit), None)


@dataclass(frozen=True, slots=True)
class Completed:
    """fal says OK. Without artifacts it is not a success yet: the result must be fetched."""

    artifacts: Artifacts


@dataclass(frozen=True, slots=True)
class Failed:
    """fal says ERROR. `detail` is fal's own words without anything a person typed or uploaded."""

    cause: Cause
    detail: str


Outcome = Completed | Failed


@dataclass(frozen=True, slots=True)
class Reading:
    """What a delivery says once understood. `answer` is fal's answer as JSON text fit for a JSON column."""

    request_id: str
    gateway_request_id: str | None
    outcome: Outcome
    answer: str


@dataclass(frozen=True, slots=True)
class Training:
    """One avatar row. `status` is None where the row holds a word we do not know; `spelling` is the row's own word."""

    avatar_id: str
    request_id: str
    name: str
    trainer: Trainer | None
    status: TrainingStatus | None
    spelling: str
    artifacts: Artifacts
    owner: Owner


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the avatar row."""

    status: TrainingStatus
    at: datetime
    artifacts: Artifacts | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one delivery causes. Executed in one commit or not at all.

    `artifact` is what is known of the file that `change` writes; None where nothing is written or looked at.
    """

    verdict: Verdict
    change: Change | None = None
    notification: OwnerMessage | None = None
    artifact: ArtifactState | None = None


def decide(training: Training, outcome: Outcome, now: datetime) -> Plan:
    """Turn what fal says into a plan.

    An artifact proves success, whatever the status says; success is never taken back; a conflict is kept and shown.
    A `Retry` here says "not yet": how long to wait and when to give up is the flow's business.
    """
    if training.status is None:
        return Plan(Bury("status_unknown", f"avatars.status holds {training.spelling!r}"))
    match outcome:
        case Failed():
            return _decide_failed(training, outcome, now)
        case Completed(artifacts) if artifacts:
            return _decide_completed(training, artifacts, now)
        case Completed():
            return _decide_unproven(training, now)


def _decide_completed(training: Training, artifacts: Artifacts, now: datetime) -> Plan:
    if training.status is TrainingStatus.CANCELLED:
        return Plan(Bury("conflict", "fal completed a training that is cancelled here"))
    if training.status is TrainingStatus.COMPLETED:
        if training.artifacts.same_product(artifacts):
            return Plan(Done("already_completed"))
        return Plan(Bury("conflict", "fal sent other artifacts than the avatar already has"))
    if (name := artifacts.too_long()) is not None:
        return Plan(Bury("artifact_too_long", f"{name} is longer than its column"))
    return Plan(
        Done("completed"),
        Change(TrainingStatus.COMPLETED, now, artifacts=artifacts),
        _message(training, Topic.READY, None),
    )


def _decide_unproven(training: Training, now: datetime) -> Plan:
    match training.status:
        case TrainingStatus.COMPLETED | TrainingStatus.ERROR:
            return Plan(Done("already_final"))
        case TrainingStatus.CANCELLED:
            return Plan(Bury("conflict", "fal completed a training that is cancelled here"))
        case _:
            return Plan(Retry(now, "no_artifact"))


def _decide_failed(training: Training, outcome: Failed, now: datetime) -> Plan:
    match training.status:
        case TrainingStatus.COMPLETED:
            return Plan(Bury("conflict", "fal reports a failure of a training that is completed here"))
        case TrainingStatus.ERROR | TrainingStatus.CANCELLED:
            return Plan(Done("already_final"))
        case _:
            return Plan(
                Done("failed"),
                Change(TrainingStatus.ERROR, now, error=outcome.detail),
                _message(training, Topic.FAILED, outcome.cause),
            )


def _message(training: Training, topic: Topic, cause: Cause | None) -> OwnerMessage:
    overtakes = training.status is TrainingStatus.ERROR
    return OwnerMessage(training.avatar_id, training.name, training.request_id, topic, training.owner, cause, overtakes)
