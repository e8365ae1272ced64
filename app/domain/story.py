"""The story of one job: what is on record of it, and what is made of that. Values only; `explain` makes the story.

States and reasons are plain text here: a newer version beside us may have written others, which must be told as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.domain.drift import DriftedJob
from app.domain.history import Event


@dataclass(frozen=True, slots=True)
class StoryJob:
    """A row of `webhook_jobs`."""

    id: int
    state: str
    reason: str | None
    detail: str | None
    endpoint: str | None
    endpoint_source: str
    stage: str | None
    stage_since: datetime | None
    first_seen_at: datetime
    at_work_since: datetime | None
    looked_at: datetime | None
    said_at: datetime | None
    due_at: datetime
    finished_at: datetime | None
    position: int | None
    percent: int | None
    outcome: str | None
    artifact: str | None
    drifts: int
    drifted_at: datetime | None
    kind: str = "training"

    @property
    def is_of_images(self) -> bool:
        """Tell whether it makes images, and so changes no avatar."""
        return self.kind == "generation"


@dataclass(frozen=True, slots=True)
class StoryDelivery:
    """A row of the inbox."""

    id: int
    state: str
    reason: str | None
    detail: str | None
    due_at: datetime
    attempt: int
    finished_at: datetime | None
    source: str
    repeats: int
    received_at: datetime
    last_received_at: datetime
    is_emptied: bool
    trace: str | None = None  # fal's traceparent, where the delivery that was stored had one


@dataclass(frozen=True, slots=True)
class StoryMessage:
    """A row of the outbox. `topic` is what it tells, `cause` why a training failed."""

    id: int
    topic: str
    cause: str | None
    state: str
    reason: str | None
    detail: str | None
    due_at: datetime
    applied_at: datetime
    finished_at: datetime | None
    message_id: int | None
    uncertain: int
    is_emptied: bool


@dataclass(frozen=True, slots=True)
class StorySubject:
    """A row of the bot's. `is_carrier`: it carries the request id now; else it is the one that the job was about."""

    id: str
    status: str
    is_carrier: bool


@dataclass(frozen=True, slots=True)
class StoryLook:
    """The last turn in which fal was asked about jobs; `silence` says why it told nothing of any, if so."""

    at: datetime
    silence: str | None


@dataclass(frozen=True, slots=True)
class StoryFacts:
    """All that is on record under one request id, in the order of the rows. `has_token`: TELEGRAM_TOKEN is set.

    `drifted` is the job where its row contradicts its end; `last_look` may have been at other jobs.
    """

    request_id: str
    job: StoryJob | None
    deliveries: tuple[StoryDelivery, ...]
    messages: tuple[StoryMessage, ...]
    subjects: tuple[StorySubject, ...]
    has_token: bool
    drifted: DriftedJob | None = None
    last_look: StoryLook | None = None
    events: tuple[Event, ...] = ()  # what the history has of these deliveries and messages


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, by its stable code; `facts` fill it in. `at` is when it happened, or is to happen."""

    code: str
    at: datetime | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """What happened, and how it goes on: exactly one of `waits_for` and `end` is there.

    `next_command` is what an operator runs next, empty where nothing is left to do.
    """

    request_id: str
    sentences: tuple[Sentence, ...]
    waits_for: Sentence | None
    end: Sentence | None
    next_command: str
