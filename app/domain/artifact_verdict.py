"""What follows for a plan from the look at the artifact that it would write. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.domain.artifact import ArtifactCheck, ArtifactLook, ArtifactState, Sight, artifact_host
from app.domain.delivery import ClaimedDelivery
from app.domain.training import Artifacts, Plan, TrainingStatus
from app.domain.verdict import Bury, Retry, backoff

LAG = timedelta(minutes=10)  # how long after the delivery its file may still be on its way through the CDN
LEAST_LOOKS = 3  # at a delivery that is older than that: one answer may be a slip of the CDN's


@dataclass(frozen=True, slots=True)
class ArtifactPatience:
    """How long an absent artifact is waited for: `limit` is RETRY_MAX_ATTEMPTS, `jitter` that of `backoff`."""

    delivery: ClaimedDelivery
    limit: int
    jitter: float


def to_look_at(plan: Plan) -> str | None:
    """Name the URL that must be looked at before a plan is executed; a finetune id has none."""
    artifacts = _written(plan)
    return None if artifacts is None else artifacts.lora_url


def weigh(
    plan: Plan, look: ArtifactLook | None, check: ArtifactCheck, patience: ArtifactPatience, now: datetime
) -> Plan:
    """Say what becomes of a plan once its artifact was looked at; `look` is None where there is nothing to look at.

    Nothing absent is ever completed under `require`: it is tried again while the CDN may lag, then the operator's.
    """
    if check is ArtifactCheck.OFF or _written(plan) is None:
        return plan
    url = to_look_at(plan)
    if url is None or (look is not None and look.sight is Sight.SEEN):
        return replace(plan, artifact=ArtifactState.SEEN)
    if look is None or look.sight is Sight.UNREACHABLE:
        return replace(plan, artifact=ArtifactState.UNVERIFIED)
    if check is ArtifactCheck.NOTE:
        return replace(plan, artifact=ArtifactState.ABSENT)
    return Plan(_await_artifact(look, f"{artifact_host(url)}: {look.why}", patience, now))


def _await_artifact(look: ArtifactLook, detail: str, patience: ArtifactPatience, now: datetime) -> Retry | Bury:
    failures = patience.delivery.failures
    looks = failures + 1
    is_old = now - patience.delivery.received_at >= LAG and looks >= LEAST_LOOKS
    if look.is_lasting or looks >= patience.limit or is_old:
        return Bury("artifact_absent", detail)
    return Retry(now + backoff(failures, patience.jitter), "artifact_absent")


def _written(plan: Plan) -> Artifacts | None:
    change = plan.change
    return None if change is None or change.status is not TrainingStatus.COMPLETED else change.artifacts
