"""What a batch of plans means for jobs, and for owners who were told otherwise before. Plain functions."""

from collections.abc import Mapping, Sequence

from app.db import jobs
from app.db.drift import DRIFT
from app.db.engine import Connection
from app.db.owner_topics import owner_topics
from app.db.trainings import Found
from app.domain.correction import correct
from app.domain.delivery import Source
from app.domain.job import JobKind, JobOutcome, JobState
from app.domain.notification import OwnerTopics
from app.domain.training import Failed, Known, Outcome, Plan, Training, TrainingStatus
from app.domain.verdict import Bury, Done, Retry, Verdict
from app.flows.item import Item
from app.flows.kinds import Kind


def ended_jobs(
    plans: Sequence[tuple[Item, Plan]],
    found: Mapping[JobKind, Found],
    known: Mapping[str, Known],
    kinds: Mapping[JobKind, Kind],
) -> list[jobs.Ended]:
    """Tell how the jobs of known trainings ended.

    What changed nothing is no news of a job that has ended, unless its row was found completed by somebody else.
    """
    ended = []
    for item, plan in plans:
        if isinstance(plan.verdict, Retry) or item.reading is None or not kinds[item.claimed.kind].endpoints(None):
            continue
        request_id = item.reading.request_id
        trainings = found[item.claimed.kind].trainings.get(request_id, [])
        job = known.get(request_id)
        is_success = plan.outcome is JobOutcome.COMPLETED and (job is None or job.outcome is not plan.outcome)
        is_news = plan.change is not None or is_success
        if not trainings or (not is_news and job is not None and job.state is JobState.DONE):
            continue
        training = trainings[0] if len(trainings) == 1 else None
        ended.append(
            jobs.Ended(
                request_id=request_id,
                kind=item.claimed.kind,
                subject=None if training is None else training.avatar_id,
                endpoint=kinds[item.claimed.kind].endpoints(training)[0],
                state=JobState.DONE if isinstance(plan.verdict, Done) else JobState.DEAD,
                reason=plan.verdict.why,
                delivery_id=item.claimed.claim.id,
                changes=is_news,
                outcome=plan.outcome,
                artifacts=plan.artifacts,
                artifact=plan.artifact,
                detail=_last_words(plan.verdict, item.reading.outcome),
            )
        )
    return ended


def _last_words(verdict: Verdict, outcome: Outcome) -> str | None:
    """Say what a job keeps of its end: why it is the operator's, or fal's words of a failure."""
    if isinstance(verdict, Bury):
        return verdict.detail or None
    return outcome.detail if isinstance(outcome, Failed) else None


def is_silent(item: Item, job: Known | None) -> bool:
    """Tell whether an owner hears nothing: an operator had fal asked about a job of a time before this server."""
    return job is not None and job.state is JobState.HISTORIC and item.claimed.source is Source.RECONCILE


def corrected(
    connection: Connection,
    plans: list[tuple[Item, Plan]],
    found: Mapping[JobKind, Found],
    known: Mapping[str, Known],
) -> list[tuple[Item, Plan]]:
    """Fit messages to what owners were told before, where that may matter: no other plan costs a look."""
    turned: dict[int, Training] = {}
    for index, (item, plan) in enumerate(plans):
        if plan.outcome is None or item.reading is None:
            continue
        [training] = found[item.claimed.kind].trainings[item.reading.request_id]
        job = known.get(item.reading.request_id)
        if _may_contradict(item, plan, training, job) and not is_silent(item, job):
            turned[index] = training
    if not turned:
        return plans
    told = owner_topics(connection, {(training.avatar_id, training.request_id) for training in turned.values()})
    for index, training in turned.items():
        item, plan = plans[index]
        if item.reading is not None:
            topics = told.get((training.avatar_id, training.request_id), OwnerTopics())
            plans[index] = item, correct(plan, training, item.reading.outcome, topics)
    return plans


def _may_contradict(item: Item, plan: Plan, training: Training, job: Known | None) -> bool:
    """Tell whether an owner may have been told otherwise: the row or the job ends a second time."""
    if plan.change is not None and (
        item.claimed.reason == DRIFT or training.status in (TrainingStatus.COMPLETED, TrainingStatus.ERROR)
    ):
        return True
    is_ready = plan.outcome is JobOutcome.COMPLETED
    return job is not None and job.outcome is not None and (job.outcome is JobOutcome.COMPLETED) is not is_ready
