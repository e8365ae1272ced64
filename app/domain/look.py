"""One look at fal's queue: what fal may say of a job, and what follows from it. Pure.

Facts: docs/fal.md. Only the answer of the result endpoint decides: the queue says COMPLETED of failures too, and of
those it may say so without any error.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from app.domain.delivery import Claim
from app.domain.job import EndpointSource, JobKind, JobOutcome, JobState, Stage
from app.domain.progress import Shown
from app.domain.verdict import backoff

GRACE = timedelta(seconds=10)  # between fal's COMPLETED and our fetching: the webhook is on its way as a rule
WIDEST = timedelta(minutes=4)  # between two looks: results of 10 KB and more are kept for about 6 minutes
WIDER = 20  # a job is looked at after a twentieth of the time that it has been at work, at least RECONCILE_EVERY
BROKEN_TRIES = 8  # answers 5xx of the result endpoint, over three minutes, before they count as the model's own
SURE = timedelta(seconds=40)  # a result is gone when missing for so long: the lag of fal's list is not documented
UNSURE = timedelta(minutes=3.5)  # how long a missing result may wait for fal's list: alerts are due within five minutes
ODD_TRIES = 20  # looks that made no sense, one after the other, before a job is the operator's


class Trouble(StrEnum):
    """Why fal did not say anything about a job: ours, fal's or the net's, never the training's."""

    NO_FAL_KEY = "no_fal_key"
    FAL_KEY_REFUSED = "fal_key_refused"
    ACCOUNT_LOCKED = "account_locked"
    RATE_LIMITED = "rate_limited"
    FAL_DOWN = "fal_down"
    FAL_ODD = "fal_odd"


@dataclass(frozen=True, slots=True)
class Queued:
    """The job waits for its turn. `position` is None where fal does not say."""

    position: int | None


@dataclass(frozen=True, slots=True)
class AtWork:
    """The job is being worked on, or (asked for its result) is not finished."""


@dataclass(frozen=True, slots=True)
class AtEnd:
    """COMPLETED, which says nothing of success."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """fal does not know such a request here, or no longer."""


@dataclass(frozen=True, slots=True)
class Unsaid:
    """fal said nothing about the job. `detail` is for the operator and holds no secret."""

    trouble: Trouble
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """The end of a job in the webhook's form: `body` is canonical JSON, the same bytes at every look."""

    body: bytes


@dataclass(frozen=True, slots=True)
class Broken:
    """A 5xx where the result should be: trouble of fal's, or the model's own answer, replayed.

    `body` is what it would be as the end of the job, in the webhook's form.
    """

    body: bytes


StatusSaid = Queued | AtWork | AtEnd | Unknown | Unsaid
ResultSaid = Result | Broken | AtWork | Unknown | Unsaid


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that is due, with the right to record what is found.

    `failures` counts looks in a row at which fal said nothing. `endpoint` is owner, app and perhaps a sub-path; None
    where nobody knows it. Times are ours, never the bot's. `progress_at` is when its owner's progress message was last
    sent or edited, or was to be; `shown` is what that message says now.
    """

    claim: Claim
    failures: int
    kind: JobKind
    request_id: str
    subject: str | None
    endpoint: str | None
    endpoint_source: EndpointSource
    status_url: str | None
    response_url: str | None
    stage: Stage | None
    reason: str | None
    first_seen_at: datetime
    at_work_since: datetime | None
    stage_since: datetime | None
    said_at: datetime | None = None
    state: JobState = JobState.PENDING
    percent: int | None = None
    steps: int | None = None
    progress_at: datetime | None = None
    progress_end: str | None = None
    shown: Shown | None = None

    @property
    def is_guessed(self) -> bool:
        """Tell whether a 404 may mean that the endpoint is wrong."""
        return self.endpoint_source is EndpointSource.GUESSED

    @property
    def was_carried(self) -> bool:
        """Tell whether the job is known from a row of the bot's."""
        return self.endpoint_source in (EndpointSource.GUESSED, EndpointSource.CONFIRMED)


@dataclass(frozen=True, slots=True)
class Pace:
    """When to look again.

    `every` is RECONCILE_EVERY; `jitter` in [0, 1) adds up to a tenth to a wait, so that jobs seen together spread.
    """

    every: timedelta
    jitter: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again at `at`. `said` is False where fal said nothing: the job's stage stays what it was."""

    at: datetime
    reason: str | None
    said: bool
    stage: Stage | None = None
    position: int | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The job is over without a delivery: nothing changes and nobody is told but by alerts."""

    state: JobState
    reason: str
    outcome: JobOutcome | None = None
    detail: str | None = None


class Ask(StrEnum):
    """What to ask fal next, in the same look."""

    RESULT = "result"
    LIST = "list"  # of requests by endpoint: does fal know it at all?
    ELSEWHERE = "elsewhere"  # the other endpoints that are known


def after_status(job: OpenJob, said: StatusSaid, now: datetime, pace: Pace, *, at_once: bool) -> Wait | End | Ask:
    """Tell what follows from what fal says of a job's state.

    `at_once`: fetch the result of a finished job without waiting for its webhook.
    """
    match said:
        case Queued(position):
            return Wait(now + _between(job, None, now, pace), None, said=True, stage=Stage.QUEUED, position=position)
        case AtWork():
            since = job.at_work_since or now
            return Wait(now + _between(job, since, now, pace), None, said=True, stage=Stage.AT_WORK)
        case AtEnd():
            if at_once or job.stage in (Stage.FINISHED, Stage.GONE):
                return Ask.RESULT
            return Wait(now + min(pace.every, GRACE), None, said=True, stage=Stage.FINISHED)
        case Unknown():
            return Ask.ELSEWHERE if job.is_guessed else Ask.LIST
        case Unsaid():
            return _unsaid(job, said, now, pace)


def after_result(job: OpenJob, said: ResultSaid, now: datetime, pace: Pace) -> Wait | End | Ask | bytes:
    """Tell what follows from the answer of the result endpoint: a body for the inbox, another question, or a wait."""
    match said:
        case Result(body):
            return body
        case Broken(body):
            # Asked again while it may be fal's own trouble; what is replayed every time is the model's answer.
            if job.failures + 1 >= BROKEN_TRIES:
                return body
            wait = backoff(job.failures, pace.jitter)
            return Wait(now + min(wait, pace.every), Trouble.FAL_DOWN, said=False, detail="the result endpoint failed")
        case AtWork():
            stage = Stage.AT_WORK if job.stage in (None, Stage.GONE) else job.stage
            return Wait(now + min(pace.every, GRACE), None, said=True, stage=stage)
        case Unknown():
            return Ask.ELSEWHERE if job.is_guessed else Ask.LIST
        case Unsaid():
            return _unsaid(job, said, now, pace)


def after_list(job: OpenJob, said: ResultSaid, now: datetime, pace: Pace) -> Wait | bytes | None:
    """Tell what follows from fal's list of requests for a job that its queue does not know. None: it is gone.

    That is so once neither has known it for SURE; where the list cannot be had, once it has been missing for UNSURE.
    Of a historic job, which is asked about by hand only, one look tells.
    """
    missing_since = job.stage_since if job.stage is Stage.GONE and job.stage_since is not None else now
    match said:
        case Result(body) | Broken(body):
            return body
        case AtWork():
            return Wait(now + min(pace.every, GRACE), None, said=True, stage=Stage.AT_WORK)
        case Unknown():
            if job.state is JobState.HISTORIC or now - missing_since >= SURE:
                return None
            return Wait(now + SURE, None, said=True, stage=Stage.GONE)
        case Unsaid(trouble, detail):
            if now - missing_since >= UNSURE:
                return None
            return Wait(now + min(pace.every, GRACE), trouble, said=False, stage=Stage.GONE, detail=detail)


def _unsaid(job: OpenJob, said: Unsaid, now: datetime, pace: Pace) -> Wait | End:
    """Wait longer after each look at which fal said nothing; a job that is finished there may expire, so less."""
    if said.trouble is Trouble.FAL_ODD and job.failures + 1 >= ODD_TRIES:
        return End(JobState.DEAD, Trouble.FAL_ODD, detail=said.detail)
    longest = pace.every if job.stage is Stage.FINISHED else max(pace.every, WIDEST)
    wait = min(pace.every * (1 + job.failures), longest)
    return Wait(now + _spread(wait, pace), said.trouble, said=False, detail=said.detail)


def _between(job: OpenJob, at_work_since: datetime | None, now: datetime, pace: Pace) -> timedelta:
    age = now - (at_work_since or job.first_seen_at)
    return _spread(max(pace.every, min(age / WIDER, WIDEST)), pace)


def _spread(wait: timedelta, pace: Pace) -> timedelta:
    return wait * (1 + 0.1 * pace.jitter)
