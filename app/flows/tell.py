"""One notification → its words → Messenger → outcome."""

from collections.abc import Callable

import structlog

from app.domain.message import Message
from app.domain.notification import Notification
from app.domain.send_outcome import NoToken, SendOutcome, Unreachable
from app.flows.ports import Messenger

log = structlog.get_logger("app.webhook")


class Tell:
    """Send a notification to its chat, once; `word` makes the message."""

    def __init__(self, messenger: Messenger, word: Callable[[Notification], Message]) -> None:
        self._messenger = messenger
        self._word = word

    async def __call__(self, notification: Notification) -> SendOutcome:
        """Word and send; log what was not sent for want of a token, and HTML of ours that Telegram could not read."""
        chat_id = notification.owner.chat_id
        if chat_id is None:
            return Unreachable("the owner's stored id is not a chat id", blocked=False)
        outcome = await self._messenger.send(chat_id, self._word(notification))
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
        return outcome
