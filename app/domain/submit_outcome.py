"""What may become of a submission that was sent to fal. Named after what happened."""

from dataclasses import dataclass

from app.domain.job import Stage
from app.domain.look import Trouble


@dataclass(frozen=True, slots=True)
class Submitted:
    """fal took it. URLs are fal's own, and only those of our queue that name this request."""

    request_id: str
    status_url: str | None = None
    response_url: str | None = None
    cancel_url: str | None = None
    stage: Stage = Stage.QUEUED


@dataclass(frozen=True, slots=True)
class NotTaken:
    """fal has surely not taken it. `detail` is for the operator and holds no secret."""

    trouble: Trouble
    detail: str


@dataclass(frozen=True, slots=True)
class AnswerLost:
    """fal may have taken it: the request has left and nothing that can be read came back."""

    detail: str


SubmitOutcome = Submitted | NotTaken | AnswerLost


@dataclass(frozen=True, slots=True)
class Cancelled:
    """fal was asked to cancel, and said yes: what is at work may finish all the same."""


@dataclass(frozen=True, slots=True)
class AlreadyOver:
    """fal has finished the request before, or does not know it."""


CancelOutcome = Cancelled | AlreadyOver | NotTaken
