"""Stand-ins for the four ports."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from app.domain.artifact import ArtifactLook, Sight
from app.domain.look import Trouble, Unsaid
from app.domain.message import Message
from app.domain.notification import Notification
from app.domain.send_outcome import SendOutcome, Sent
from app.fal.payload import FalAnswer

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@dataclass
class FrozenClock:
    """Stands still until moved."""

    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def elapsed(self) -> float:
        """Seconds, as a monotonic clock counts them."""
        return self.at.timestamp()

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


_DOWN = Unsaid(Trouble.FAL_DOWN, "no answer")


@dataclass
class FakeFalQueue:
    """Gives what it was told to give; for what it was not told of it has `trouble`.

    `results` are known at every endpoint, unless `only_at` names the one that knows them.
    """

    states: dict[str, FalAnswer] = field(default_factory=dict)
    results: dict[str, FalAnswer] = field(default_factory=dict)
    lists: dict[str, FalAnswer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # results, in turn
    trouble: FalAnswer | Unsaid = _DOWN
    only_at: str | None = None

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        return self.states.get(request_id, self.trouble)

    async def result(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        self.asked.append(request_id)
        if self.only_at not in (None, endpoint):
            return FalAnswer(404, {}, b'{"detail": "Request not found"}')
        return self.results.get(request_id, self.trouble)

    async def logs(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        return self.trouble

    async def listed(self, endpoint: str, request_id: str) -> FalAnswer | Unsaid:
        return self.lists.get(request_id, self.trouble)


@dataclass
class FakeStore:
    """Finds what it was told to find, one look after the other; else every file is there.

    A look may be a function, called when it is asked for: what happens meanwhile in a test, or an error.
    """

    looks: dict[str, list[ArtifactLook | Callable[[], Awaitable[ArtifactLook]]]] = field(default_factory=dict)
    every: ArtifactLook = field(default_factory=lambda: ArtifactLook(Sight.SEEN))
    asked: list[str] = field(default_factory=list)
    within: list[float] = field(default_factory=list)
    closed: bool = False

    async def look(self, url: str, within: float) -> ArtifactLook:
        self.asked.append(url)
        self.within.append(within)
        answers = self.looks.get(url, [])
        answer = answers.pop(0) if answers else self.every
        return answer if isinstance(answer, ArtifactLook) else await answer()

    async def aclose(self) -> None:
        self.closed = True


@dataclass
class FakeMessenger:
    """Answers with the outcomes it was given, then with Sent; remembers which notifications it was asked to send.

    `word` gives it the words of a notification just before they are sent.
    """

    outcomes: list[SendOutcome | Exception] = field(default_factory=list)
    sent: list[Notification] = field(default_factory=list)
    worded: list[Notification] = field(default_factory=list)

    def word(self, notification: Notification) -> Message:
        self.worded.append(notification)
        return Message(notification.request_id, notification.request_id)

    async def send(self, chat_id: int, message: Message) -> SendOutcome:
        notification = self.worded.pop()
        assert message.plain == notification.request_id
        self.sent.append(notification)
        if not self.outcomes:
            return Sent(len(self.sent), chat_id)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def edit(self, chat_id: int, message_id: int, message: Message) -> SendOutcome:
        raise NotImplementedError


def no_jitter() -> float:
    return 0.0


def moving_sleep(clock: FrozenClock) -> Callable[[float], Awaitable[None]]:
    """Sleep by moving the clock."""

    async def sleep(seconds: float) -> None:
        clock.move(seconds)

    return sleep


def kinds(notifications: Sequence[Notification]) -> list[str]:
    return [notification.topic.value for notification in notifications]
