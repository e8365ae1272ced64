"""The kinds of jobs, each described by one value: how its webhook is proven, read, decided and applied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.db.trainings import BotTables
from app.domain.job import JobKind
from app.domain.training import Outcome, Plan, Reading, Training, decide
from app.fal import payload
from app.fal.authenticate import Authenticator
from app.fal.endpoints import TrainerEndpoints

TRAINING_PATH = "/api/v1/avatar/status_update"  # the bot gives this path to fal from its own code


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    `path` is where its webhook arrives, `authenticator` holds the keys that may sign it, `read` understands a stored
    body (raises PayloadUnreadable), `subjects` are the bot's rows that it is about, `endpoints` lists where one of them
    may have been submitted, the likeliest first, and `decide` turns what fal says of one of them into a plan.
    """

    name: JobKind
    path: str
    authenticator: Authenticator
    read: Callable[[bytes], Reading]
    subjects: BotTables
    endpoints: Callable[[Training], Sequence[str]]
    decide: Callable[[Training, Outcome, datetime], Plan]
    raw_path: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Spell the path as it stands in a request."""
        object.__setattr__(self, "raw_path", self.path.encode())


def training(authenticator: Authenticator, subjects: BotTables, endpoints: TrainerEndpoints) -> Kind:
    """Describe the training of an avatar."""

    def candidates(subject: Training) -> Sequence[str]:
        return endpoints.candidates(subject.trainer)

    return Kind(JobKind.TRAINING, TRAINING_PATH, authenticator, payload.read, subjects, candidates, decide)
