"""The rule of generations: what follows from what fal says of one. Pure."""

from dataclasses import replace
from datetime import datetime

from app.domain.images import OwedImages
from app.domain.job import JobOutcome
from app.domain.notification import Cause, OwnerMessage, Topic
from app.domain.training import Change, Completed, Failed, Known, Outcome, Plan, Training, TrainingStatus
from app.domain.verdict import Bury, Done, Retry

ALL_FLAGGED = Failed(Cause.CONTENT_POLICY, "every image was flagged by the model's own check")
_FINAL = (TrainingStatus.COMPLETED, TrainingStatus.ERROR, TrainingStatus.CANCELLED)


def decide_generation(
    generation: Training, outcome: Outcome, now: datetime, known: Known | None = None, *, tells_found: bool = False
) -> Plan:
    """Turn what fal says of a generation into a plan; `known` is what earlier deliveries made of the same job.

    A success is never taken back, and told once. Flagged images are not shown; where there are no others, the
    generation has failed. A row that somebody else completed before us is told of only with `tells_found`.
    """
    ended = None if known is None else known.outcome
    match outcome:
        case Failed():
            return _decide_failed(generation, outcome, ended, now)
        case Completed(images=images):
            if ended is JobOutcome.COMPLETED:
                return Plan(Done("already_completed"), outcome=JobOutcome.COMPLETED)
            if generation.status is TrainingStatus.CANCELLED:
                return Plan(Bury("conflict", "fal completed a generation that is cancelled here"))
            if not images:
                return Plan(Retry(now, "no_artifact"))
            urls = tuple(image.url for image in images if not image.is_flagged)
            if not urls:
                return _decide_failed(generation, ALL_FLAGGED, ended, now)
            return _decide_completed(
                generation, OwedImages(urls, len(images) - len(urls)), now, tells_found=tells_found
            )


def _decide_completed(generation: Training, images: OwedImages, now: datetime, *, tells_found: bool) -> Plan:
    is_found = generation.status is TrainingStatus.COMPLETED
    message = replace(_message(generation, Topic.IMAGES), images=images)
    if is_found:
        return Plan(
            Done("already_completed"), notification=message if tells_found else None, outcome=JobOutcome.COMPLETED
        )
    change = Change(TrainingStatus.COMPLETED, now, images=images.urls)
    return Plan(Done("completed"), change, message, JobOutcome.COMPLETED)


def _decide_failed(generation: Training, outcome: Failed, ended: JobOutcome | None, now: datetime) -> Plan:
    ends = JobOutcome.GONE if outcome.cause is Cause.RESULT_GONE else JobOutcome.FAILED
    if ended is JobOutcome.COMPLETED or generation.status is TrainingStatus.COMPLETED:
        return Plan(Bury("conflict", "fal reports a failure of a generation that is completed here"))
    if ended is not None or generation.status in _FINAL:
        return Plan(Done("already_final"), outcome=ends)
    message = replace(_message(generation, Topic.IMAGES_FAILED), cause=outcome.cause)
    return Plan(Done("failed"), Change(TrainingStatus.ERROR, now, error=outcome.detail), message, ends)


def _message(generation: Training, topic: Topic) -> OwnerMessage:
    return OwnerMessage(generation.avatar_id, generation.name, generation.request_id, topic, generation.owner)
