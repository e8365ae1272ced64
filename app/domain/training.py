"""Our view of an avatar row while it learns, and what may become of it; `app.domain.decision` holds the rule."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.artifact import ArtifactState
from app.domain.images import Image
from app.domain.job import JobOutcome, JobState
from app.domain.notification import Cause, Owner, OwnerMessage
from app.domain.trainer import Trainer
from app.domain.verdict import Verdict

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

    def own(self, trainer: Trainer | None) -> "Artifacts":
        """Keep what an avatar of this type is generated with: one LoRA with its config, or one finetune id.

        Of a portrait that is the LoRA. The rest is generated with either: where both are there a style keeps the
        finetune id, an unknown type the LoRA. Empty where there is nothing of the kind.
        """
        is_by_id = trainer is Trainer.STYLE or (trainer is None and not self.lora_url)
        if is_by_id and self.finetune_id:
            return Artifacts(finetune_id=self.finetune_id)
        return replace(self, finetune_id=None) if self.lora_url else Artifacts()

    def holds(self, own: "Artifacts") -> bool:
        """Tell whether these are, or have among them, the LoRA or the finetune id of `own`."""
        if own.finetune_id:
            return self.finetune_id == own.finetune_id
        return bool(own.lora_url) and self.lora_url == own.lora_url

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
    """fal says OK. Without artifacts of a training, or images of a generation, the result must be fetched first."""

    artifacts: Artifacts
    images: tuple[Image, ...] = ()


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
    """What a job is about: an avatar row, or what another kind has in its place.

    `status` is None where the row holds a word we do not know; `spelling` is the row's own word, empty without a row.
    `endpoint` is where the job was submitted, if that is on record.
    """

    avatar_id: str
    request_id: str
    name: str
    trainer: Trainer | None
    status: TrainingStatus | None
    spelling: str
    artifacts: Artifacts
    owner: Owner
    avatar_data: str | None = None  # JSON text, the bot's but for the error in it; None: no such column, or null
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is on record of a job when a delivery about it is applied. `artifacts` as they were written.

    `began_at` is when fal began to work on it, else when we first saw it.
    """

    state: JobState
    outcome: JobOutcome | None
    artifacts: Artifacts
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of the row.

    `artifacts` are all that it holds then; None: they stay as they are. `error` None: a completed row has none, the
    error of another stays. `images` are the URLs of a generation.
    """

    status: TrainingStatus
    at: datetime
    artifacts: Artifacts | None = None
    error: str | None = None
    images: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one delivery causes. Executed in one commit or not at all.

    `artifact` is what is known of the file that `change` writes; None where nothing is written or looked at.
    `outcome` and `artifacts` are how its job has ended then, as far as this delivery tells; `lasted` is how long a
    success took that is news, where its beginning was seen.
    """

    verdict: Verdict
    change: Change | None = None
    notification: OwnerMessage | None = None
    outcome: JobOutcome | None = None
    artifacts: Artifacts | None = None
    artifact: ArtifactState | None = None
    lasted: timedelta | None = None
