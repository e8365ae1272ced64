"""One notification → its words → Messenger → outcome."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import structlog

from app.domain.measures import Measures
from app.domain.message import Message
from app.domain.notification import Notification, OwnerMessage, Topic
from app.domain.owner_zone import is_night
from app.domain.send_outcome import NoToken, SendOutcome, Unreachable
from app.flows.measuring import count_sent
from app.flows.ports import Clock, Messenger

log = structlog.get_logger("app.webhook")


@dataclass(eq=False, repr=False, slots=True)
class Tell:
    """Send a notification to its chat, once; `word` makes the message. An owner is not woken by it at night."""

    messenger: Messenger
    word: Callable[[Notification], Message]
    clock: Clock
    measures: Measures = field(default_factory=Measures)

    async def __call__(self, notification: Notification) -> SendOutcome:
        """Word and send, and count what became of it; a message of `try` is in no count."""
        outcome = await self._send(notification)
        if notification.topic is not Topic.TEST:
            count_sent(self.measures, notification.topic.value, outcome)
        return outcome

    async def _send(self, notification: Notification) -> SendOutcome:
        """Log what was not sent for want of a token, and what Telegram did not take as it was."""
        chat_id = notification.owner.chat_id
        if chat_id is None:
            return Unreachable("the owner's stored id is not a chat id", blocked=False)
        message = self.word(notification)
        if isinstance(notification, OwnerMessage) and is_night(notification.owner.timezone, self.clock.now()):
            message = replace(message, is_silent=True)
        outcome = await self.messenger.send(chat_id, message)
        if isinstance(outcome, NoToken):
            log.info(
                "notification.unsent",
                avatar_id=notification.subject,
                request_id=notification.request_id,
                kind=notification.topic.value,
                text=outcome.text,
            )
        if outcome.misparsed is not None:
            log.error(
                "notification.misparsed",
                avatar_id=notification.subject,
                request_id=notification.request_id,
                kind=notification.topic.value,
                why=outcome.misparsed,
            )
        if outcome.refused is not None:
            log.warning(
                "notification.images_refused",
                request_id=notification.request_id,
                why=outcome.refused,
                sent=type(outcome).__name__,
            )
        return outcome
