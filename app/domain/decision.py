"""The one rule that changes an avatar: what follows from what fal says of its training. Pure."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.invented import Invented
from app.domain.job import JobOutcome
from app.domain.notification import Cause, OwnerMessage, Topic
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, Change, Completed, Failed, Known, Outcome, Plan, Training, TrainingStatus
from app.domain.verdict import Bury, Done, Retry

NOTHING_INVENTED = Invented()


def decide(
    training: Training,
    outcome: Outcome,
    now: datetime,
    known: Known | None = None,
    *,
    invented: Invented = NOTHING_INVENTED,
    tells_found: bool = False,
) -> Plan:
    """Turn what fal says into a plan; `known` is what earlier deliveries made of the same job.

    An artifact proves success, whatever the status says; success is never taken back; a conflict is kept and shown.
    Only the artifact of the row's own type counts, and none that is invented. A `Retry` here says "not yet": how long
    to wait and when to give up is the flow's business. `tells_found`: an owner is told "ready" also where somebody
    else has completed the avatar with the same artifact.
    """
    if training.status is None:
        return Plan(Bury("status_unknown", f"avatars.status holds {training.spelling!r}"))
    facts = _Facts.of(training, known, invented)
    match outcome:
        case Failed():
            return _decide_failed(facts, outcome, now)
        case Completed(artifacts):
            if proof := invented.real(artifacts).own(training.trainer) or facts.success:
                return _decide_completed(facts, proof, now, tells_found=tells_found)
            return _decide_unproven(facts, now)


@dataclass(frozen=True, slots=True)
class _Facts:
    """A training, what is `real` of its artifacts, how its job `ended` before, and with what if that was a success."""

    training: Training
    real: Artifacts
    ended: JobOutcome | None
    success: Artifacts

    @classmethod
    def of(cls, training: Training, known: Known | None, invented: Invented) -> "_Facts":
        real, ended, success = invented.real(training.artifacts), None, Artifacts()
        if known is not None:
            ended = known.outcome
            if ended is JobOutcome.COMPLETED:
                success = invented.real(known.artifacts).own(training.trainer)
        return cls(training, real, ended, success)

    @property
    def own(self) -> Artifacts:
        return self.real.own(self.training.trainer)

    @property
    def left(self) -> Artifacts | None:
        """What a failure leaves in the row; None where nothing is to be taken out."""
        return None if self.real == self.training.artifacts else self.real

    @property
    def is_spoilt(self) -> bool:
        """Tell whether the row holds what must not stand there: an invention, or a portrait's finetune id."""
        artifacts = self.training.artifacts
        is_double = self.training.trainer is Trainer.PORTRAIT and bool(artifacts.finetune_id)
        return is_double or self.real != artifacts

    def message(self, topic: Topic, cause: Cause | None = None) -> OwnerMessage:
        training = self.training
        overtakes = training.status is TrainingStatus.ERROR
        return OwnerMessage(
            training.avatar_id,
            training.name,
            training.request_id,
            topic,
            training.owner,
            cause,
            overtakes,
            training.trainer,
        )


def _decide_completed(facts: _Facts, proof: Artifacts, now: datetime, *, tells_found: bool) -> Plan:
    status = facts.training.status
    if status is TrainingStatus.CANCELLED:
        return Plan(Bury("conflict", "fal completed a training that is cancelled here"))
    is_completed = status is TrainingStatus.COMPLETED
    is_found = is_completed and facts.real.holds(proof)
    # Where the job has ended like this before, it was settled then whether its owner hears of it.
    is_settled = facts.ended is JobOutcome.COMPLETED or (is_found and not tells_found)
    message = None if is_settled else facts.message(Topic.READY)
    if is_found and not facts.is_spoilt:
        return Plan(Done("already_completed"), None, message, JobOutcome.COMPLETED, proof)
    if (is_completed and facts.own and not is_found) or (facts.success and not facts.success.holds(proof)):
        return Plan(Bury("conflict", "fal sent other artifacts than the avatar already has"))
    if (name := proof.too_long()) is not None:
        return Plan(Bury("artifact_too_long", f"{name} is longer than its column"))
    change = Change(TrainingStatus.COMPLETED, now, artifacts=proof)
    return Plan(Done("completed"), change, message, JobOutcome.COMPLETED, proof)


def _decide_unproven(facts: _Facts, now: datetime) -> Plan:
    match facts.training.status:
        case TrainingStatus.COMPLETED if facts.own:
            if not facts.is_spoilt:
                return Plan(Done("already_final"), outcome=JobOutcome.COMPLETED, artifacts=facts.own)
            change = Change(TrainingStatus.COMPLETED, now, artifacts=facts.own)
            return Plan(Done("completed"), change, None, JobOutcome.COMPLETED, facts.own)
        case TrainingStatus.ERROR if facts.left is None:
            return Plan(Done("already_final"), outcome=JobOutcome.FAILED)
        case TrainingStatus.ERROR:
            return Plan(
                Done("failed"), Change(TrainingStatus.ERROR, now, artifacts=facts.left), None, JobOutcome.FAILED
            )
        case TrainingStatus.CANCELLED:
            return Plan(Bury("conflict", "fal completed a training that is cancelled here"))
        case _:
            return Plan(Retry(now, "no_artifact"))


def _decide_failed(facts: _Facts, outcome: Failed, now: datetime) -> Plan:
    status = facts.training.status
    ends = JobOutcome.GONE if outcome.cause is Cause.RESULT_GONE else JobOutcome.FAILED
    if facts.success:
        return Plan(Bury("conflict", "fal reports a failure of a training that it has completed before"))
    if status is TrainingStatus.COMPLETED and facts.own:
        return Plan(Bury("conflict", "fal reports a failure of a training that is completed here"))
    is_at_error = status is TrainingStatus.ERROR
    if status is TrainingStatus.CANCELLED or (is_at_error and facts.left is None):
        return Plan(Done("already_final"), outcome=ends)
    is_settled = is_at_error or facts.ended in (JobOutcome.FAILED, JobOutcome.GONE)
    message = None if is_settled else facts.message(Topic.FAILED, outcome.cause)
    change = Change(TrainingStatus.ERROR, now, artifacts=facts.left, error=outcome.detail)
    return Plan(Done("failed"), change, message, ends)
