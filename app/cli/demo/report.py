"""What the demo records of a step: what was sent, what was seen, and whether both are as they should be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.twins.telegram import Message


@dataclass(frozen=True, slots=True)
class Job:
    """One training as the bot ordered it."""

    request_id: str
    avatar_id: str
    chat_id: int
    name: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One POST to the server. `what` names the kind in WORDS; `status` is None where no answer came."""

    what: str
    request_id: str
    body: bytes
    status: int | None
    answer: Mapping[str, Any]
    error: str | None
    show_body: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What is to be seen of one job: the bot's row, our rows, and what its owner's chat was shown.

    `before` is the avatar's status as it was seen last.
    """

    job: Job
    before: str
    avatar: Mapping[str, Any]
    deliveries: Sequence[Mapping[str, Any]]
    notifications: Sequence[Mapping[str, Any]]
    messages: Sequence[Message]

    @property
    def settled(self) -> bool:
        """Whether something was stored and nothing of it is still to be done."""
        rows = (*self.deliveries, *self.notifications)
        return bool(self.deliveries) and all(row["state"] != "pending" for row in rows)

    @property
    def waits(self) -> bool:
        """Whether a delivery waits for a training that nobody knows yet."""
        return any(row["reason"] == "orphan" for row in self.deliveries)


@dataclass(frozen=True, slots=True)
class Note:
    """A remark: a name in WORDS and its values."""

    name: str
    values: Mapping[str, object]


Event = Exchange | Look | Note
Recorded = TypeVar("Recorded", Exchange, Look)


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation. `name` is stable, for people and machines."""

    name: str
    expected: Any
    seen: Any

    @property
    def holds(self) -> bool:
        """Whether what was seen is what should be."""
        return bool(self.expected == self.seen)


@dataclass(slots=True)
class Report:
    """One step: its events in order, its checks, and the messages that Telegram showed meanwhile."""

    number: int
    name: str
    events: list[Event] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    told: int = 0
    finished: bool = False

    def record(self, event: Recorded) -> Recorded:
        """Keep an event and give it back."""
        self.events.append(event)
        return event

    def note(self, name: str, **values: object) -> None:
        """Keep a remark."""
        self.events.append(Note(name, values))

    def expect(self, name: str, expected: Any, seen: Any) -> None:
        """Keep an expectation and what was seen instead, if it was."""
        self.checks.append(Check(name, expected, seen))

    @property
    def right(self) -> bool:
        """Whether the step came to its end and every expectation holds."""
        return self.finished and all(check.holds for check in self.checks)

    @property
    def statuses(self) -> list[int | None]:
        """What the server answered, in order."""
        return [event.status for event in self.events if isinstance(event, Exchange)]

    @property
    def looks(self) -> list[Look]:
        """What was seen, in order."""
        return [event for event in self.events if isinstance(event, Look)]
