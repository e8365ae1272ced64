"""Ports that count what passes them (`Measures`): fal's queue, Telegram."""

from collections.abc import Awaitable, Callable

from app.domain.look import Trouble, Unsaid
from app.domain.measures import Measures
from app.domain.message import Message
from app.domain.notification import Notification, Topic
from app.domain.send_outcome import SendOutcome
from app.fal.payload import FalAnswer
from app.flows.measuring import count_sent
from app.flows.ports import FalQueue, Messenger


class CountedQueue:
    """Satisfies FalQueue: asks `queue`, and counts each answer by its class, or why there was none."""

    def __init__(self, queue: FalQueue, measures: Measures) -> None:
        self._queue = queue
        self._measures = measures

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for the state of a request."""
        return self._counted("status", await self._queue.status(endpoint, request_id, url))

    async def result(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for what a request gave."""
        return self._counted("result", await self._queue.result(endpoint, request_id, url))

    async def logs(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        """Ask for what the trainer of a request printed lately."""
        return self._counted("logs", await self._queue.logs(endpoint, request_id, url))

    async def listed(self, endpoint: str, request_id: str) -> FalAnswer | Unsaid:
        """Ask for the entry of a request in fal's list."""
        return self._counted("listed", await self._queue.listed(endpoint, request_id))

    def _counted(self, asked: str, said: FalAnswer | Unsaid) -> FalAnswer | Unsaid:
        if isinstance(said, FalAnswer):
            self._measures.asked[asked, f"{said.status // 100}xx"] += 1
        elif said.trouble is not Trouble.NO_FAL_KEY:  # without a key nothing was asked
            self._measures.asked[asked, said.trouble.value] += 1
        return said


def counted_tell(
    tell: Callable[[Notification], Awaitable[SendOutcome]], measures: Measures
) -> Callable[[Notification], Awaitable[SendOutcome]]:
    """Return a `tell` that counts what became of each try, by its topic."""

    async def counted(notification: Notification) -> SendOutcome:
        outcome = await tell(notification)
        if notification.topic is not Topic.TEST:
            count_sent(measures, notification.topic.value, outcome)
        return outcome

    return counted


class CountedMessenger:
    """Satisfies Messenger: sends through `messenger`, and counts each try under one topic."""

    def __init__(self, messenger: Messenger, topic: str, measures: Measures) -> None:
        self._messenger = messenger
        self._topic = topic
        self._measures = measures

    async def send(self, chat_id: int, message: Message) -> SendOutcome:
        """Send one message."""
        return self._counted(await self._messenger.send(chat_id, message))

    async def edit(self, chat_id: int, message_id: int, message: Message) -> SendOutcome:
        """Put `message` in the place of one that was sent."""
        return self._counted(await self._messenger.edit(chat_id, message_id, message))

    def _counted(self, outcome: SendOutcome) -> SendOutcome:
        count_sent(self._measures, self._topic, outcome)
        return outcome
