"""The kinds of jobs, each described by one value: how its webhook is proven, read, decided and applied."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from app.db import submissions
from app.db.engine import Connection
from app.db.trainings import BotTables, Found
from app.domain.decision import decide
from app.domain.generation import decide_generation
from app.domain.invented import Invented
from app.domain.job import JobKind
from app.domain.training import Change, Known, Outcome, Plan, Reading, Training
from app.fal import images, payload
from app.fal.authenticate import Authenticator
from app.fal.endpoints import TrainerEndpoints

GENERATION_PATH = "/api/v1/generation/status_update"
USUAL_GENERATOR = "fal-ai/flux-lora"  # what images are made with out of a LoRA, docs/fal.md
TRAINING_PATH = "/api/v1/avatar/status_update"  # the bot gives this path to fal from its own code


class Join(Protocol):
    """Joins submissions with what fal has told of them."""

    def __call__(self, connection: Connection, told_of: Sequence[tuple[str, str]], *, now: datetime) -> None:
        """Take pairs of nonce and request id; what is joined already, or is none of ours, stays as it is."""


class Subjects(Protocol):
    """What the jobs of a kind are about."""

    def lock(self, connection: Connection, request_ids: Sequence[str]) -> Found:
        """Load what these requests are about and keep it from changing until the transaction ends."""

    def change(self, connection: Connection, changes: Sequence[tuple[Training, Change, str]]) -> None:
        """Write each change, with fal's answer as JSON text."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of job.

    `path` is where its webhook arrives, `authenticator` holds the keys that may sign it, `read` understands a stored
    body (raises PayloadUnreadable), `subjects` are what it is about, `decide` turns what fal says of one
    of them, and what is known of its job, into a plan, and `endpoints` lists where the job of one (None: of any) may
    have been submitted, the likeliest first: none for a kind that fal never works on, and of which there are no jobs.
    """

    name: JobKind
    path: str
    authenticator: Authenticator
    read: Callable[[bytes], Reading]
    subjects: Subjects
    decide: Callable[[Training, Outcome, datetime, Known | None], Plan]
    endpoints: Callable[[Training | None], Sequence[str]]
    join: Join | None = None  # submissions whose webhook's address a delivery came to
    raw_path: bytes = field(init=False)

    def __post_init__(self) -> None:
        """Spell the path as it stands in a request."""
        object.__setattr__(self, "raw_path", self.path.encode())


def training(
    authenticator: Authenticator,
    subjects: BotTables,
    endpoints: TrainerEndpoints,
    *,
    invented: Invented,
    tells_found: bool = False,
) -> Kind:
    """Describe the training of an avatar; `invented` and `tells_found` as `decide` takes them."""
    return Kind(
        JobKind.TRAINING,
        TRAINING_PATH,
        authenticator,
        payload.read,
        subjects,
        partial(decide, invented=invented, tells_found=tells_found),
        lambda about: endpoints.candidates(None if about is None else about.trainer),
        partial(submissions.told, tables=subjects),
    )


def generation(authenticator: Authenticator, subjects: Subjects, *, tells_found: bool = False) -> Kind:
    """Describe a generation of images, registered by the bot; `tells_found` as `decide_generation` takes it."""
    return Kind(
        JobKind.GENERATION,
        GENERATION_PATH,
        authenticator,
        images.read,
        subjects,
        partial(decide_generation, tells_found=tells_found),
        lambda about: (USUAL_GENERATOR,) if about is None or about.endpoint is None else (about.endpoint,),
    )
