"""One look at fal about one job: its state, its result, and where else it may be."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from app.db.jobs import Looked
from app.domain.job import EndpointSource, JobState, Stage
from app.domain.look import (
    Ask,
    End,
    OpenJob,
    Pace,
    ResultSaid,
    StatusSaid,
    Unknown,
    Unsaid,
    Wait,
    after_list,
    after_result,
    after_status,
)
from app.fal import queue_answers, result_body
from app.flows.ports import Clock, FalQueue

ENTERED = timedelta(minutes=1)  # until a job is looked at again whose result entered the inbox


@dataclass(frozen=True, slots=True)
class JobLook:
    """What one look found: what becomes of the job, and the body that enters the inbox with it."""

    looked: Looked
    body: bytes | None = None


async def ask_about(
    job: OpenJob, fal: FalQueue, endpoints: Sequence[str], clock: Clock, pace: Pace, *, at_once: bool
) -> JobLook:
    """Ask until there is something to do: wait, end the job, or enter a result into the inbox.

    `endpoints` are tried where a guess is wrong. `at_once`: do not wait for the webhook of a finished job.
    """
    step: Wait | End | Ask | bytes | None = Ask.RESULT
    if job.stage is not Stage.FINISHED:
        job, said = await _find(job, fal, endpoints)
        step = after_status(job, said, clock.now(), pace, at_once=at_once)
    if step is Ask.RESULT:
        answered = await fal.result(job.endpoint or "", job.request_id, job.response_url)
        step = after_result(job, queue_answers.read_result(job.request_id, answered), clock.now(), pace)
    if isinstance(step, Ask):
        step = after_list(job, await _look_up(job, fal, endpoints), clock.now(), pace)
    if step is None:
        if job.is_guessed:  # it may be at an endpoint that nobody told us of
            return JobLook(Looked(job, End(JobState.DEAD, "endpoint_unknown")))
        step = result_body.gone(job.request_id)
    if isinstance(step, bytes):
        return JobLook(Looked(job, Wait(clock.now() + ENTERED, "entered", said=True, stage=Stage.FINISHED)), step)
    return JobLook(Looked(job, step))


async def _find(job: OpenJob, fal: FalQueue, endpoints: Sequence[str]) -> tuple[OpenJob, StatusSaid]:
    """Ask for the state where the job should be, and where a guess is wrong everywhere else."""
    said: StatusSaid = Unknown()
    for endpoint in _possible(job, endpoints):
        url = job.status_url if endpoint == job.endpoint else None
        said = queue_answers.read_status(await fal.status(endpoint, job.request_id, url))
        if isinstance(said, Unsaid):
            return job, said
        if not isinstance(said, Unknown):
            source = EndpointSource.CONFIRMED if job.is_guessed else job.endpoint_source
            return replace(job, endpoint=endpoint, endpoint_source=source), said
    return job, said


async def _look_up(job: OpenJob, fal: FalQueue, endpoints: Sequence[str]) -> ResultSaid:
    """Look the job up in fal's list of requests, at every endpoint where it may be."""
    said: ResultSaid = Unknown()
    for endpoint in _possible(job, endpoints):
        said = queue_answers.read_listed(job.request_id, await fal.listed(endpoint, job.request_id))
        if not isinstance(said, Unknown):
            return said
    return said


def _possible(job: OpenJob, endpoints: Sequence[str]) -> list[str]:
    own = [job.endpoint] if job.endpoint else []
    return [*own, *(endpoint for endpoint in endpoints if endpoint != job.endpoint)] if job.is_guessed else own
