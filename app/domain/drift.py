"""Drift: rows that somebody set back or overwrote after their jobs had ended. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.invented import Invented
from app.domain.job import JobOutcome
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, TrainingStatus

FIRST_REST = timedelta(minutes=1)
LONGEST_REST = timedelta(minutes=30)
_EARLY = timedelta(seconds=5)  # a look that comes a little before its minute need not wait for the next


class Drift(StrEnum):
    """What was found in the row of a job that has ended."""

    SET_BACK = "set_back"  # at training again
    SUCCESS_LOST = "success_lost"  # at error, and the job was completed
    FAILURE_LOST = "failure_lost"  # completed with no artifact or an invented one, and the job failed
    ARTIFACT_LOST = "artifact_lost"  # completed, without an artifact of its own
    ARTIFACT_INVENTED = "artifact_invented"  # at the end that its job had, with something invented
    TWO_ARTIFACTS = "two_artifacts"  # a portrait with a finetune id beside its LoRA


@dataclass(frozen=True, slots=True)
class DriftedJob:
    """A job whose row was found spoilt. `artifacts` and `detail` are what the job keeps of its end."""

    id: int
    request_id: str
    subject: str
    found: Drift
    outcome: JobOutcome
    artifacts: Artifacts
    detail: str | None
    delivery_id: int | None
    drifts: int
    drifted_at: datetime | None

    def rests_until(self) -> datetime | None:
        """Tell until when it is left as it is: a row that is spoilt again and again is mended ever more rarely."""
        if self.drifted_at is None:
            return None
        doublings = min(max(self.drifts - 1, 0), 16)
        return self.drifted_at + min(FIRST_REST * (1 << doublings), LONGEST_REST) - _EARLY


def find_drift(
    status: TrainingStatus | None,
    trainer: Trainer | None,
    artifacts: Artifacts,
    outcome: JobOutcome,
    invented: Invented,
) -> Drift | None:
    """Say how a row contradicts the end of its job; None where it does not.

    `draft`, `photos_uploading` and `ready_for_training` are no drift, for the bot began anew; nor is `cancelled`, nor
    another real artifact, which is a conflict.
    """
    real = invented.real(artifacts)
    own = real.own(trainer)
    is_success = outcome is JobOutcome.COMPLETED
    match status:
        case TrainingStatus.TRAINING:
            return Drift.SET_BACK
        case TrainingStatus.ERROR if is_success:
            return Drift.SUCCESS_LOST
        case TrainingStatus.ERROR if real != artifacts:
            return Drift.ARTIFACT_INVENTED
        case TrainingStatus.COMPLETED if not is_success:
            return None if own else Drift.FAILURE_LOST
        case TrainingStatus.COMPLETED if real != artifacts:
            return Drift.ARTIFACT_INVENTED
        case TrainingStatus.COMPLETED if not own:
            return Drift.ARTIFACT_LOST
        case TrainingStatus.COMPLETED if trainer is Trainer.PORTRAIT and artifacts.finetune_id:
            return Drift.TWO_ARTIFACTS
        case _:
            return None
