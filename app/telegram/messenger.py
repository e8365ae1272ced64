"""Telegram's Bot API through python-telegram-bot: one notification in, one SendOutcome out."""

import asyncio

import structlog
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, LinkPreviewOptions
from telegram.constants import ParseMode
from telegram.error import NetworkError

from app.domain.message import Keyboard
from app.domain.notification import Notification
from app.domain.send_outcome import (
    Down,
    NoToken,
    Rejected,
    SendOutcome,
    Sent,
    SlowDown,
    TokenRefused,
    Uncertain,
    Unreachable,
)
from app.telegram.answers import Answer, Delivered, Migrated, Misparsed
from app.telegram.catalogs import Catalogs
from app.telegram.wire import AnswerError, Wire, read_breakdown
from app.telegram.wording import word

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class TelegramMessenger:
    """Sends with one bot token; `start` before the first send, `close` after the last.

    After a send of unknown outcome Telegram is asked something harmless before the next one, so that an outage without
    a word costs no message one of its two tries.
    `api_url` is the Bot API server without `/bot`. `timeout` (seconds) bounds each read and write, and twice that a
    whole send with its repeats. At most about `connections` sends run at once; more of them wait for half of `timeout`
    and are Down when no connection gets free.
    Raises SettingsInvalid when there are no words in `default_language`.
    """

    def __init__(
        self, token: str, api_url: str, default_language: str, timeout: float = 10.0, connections: int = 64
    ) -> None:
        self._words = Catalogs(default_language)
        self._deadline = 2 * timeout
        self._in_doubt = False
        self._wire = Wire(token, timeout, connections)
        # Without a second request object Bot would build another pool, with another TLS context, for getUpdates.
        self._bot = Bot(
            token, base_url=f"{api_url.rstrip('/')}/bot", request=self._wire, get_updates_request=self._wire
        )

    async def start(self) -> None:
        """Open the connection pool. Asks Telegram nothing: `Bot.initialize` would call getMe and fail with Telegram."""
        await self._wire.initialize()

    async def close(self) -> None:
        """Close every connection."""
        await self._wire.shutdown()

    async def send(self, notification: Notification) -> SendOutcome:
        """Word and send one notification. Raises nothing that Telegram causes.

        Two refusals are mended on the spot: a group that migrated, and HTML of ours that Telegram cannot read.
        """
        chat_id = notification.owner.chat_id
        if chat_id is None:
            return Unreachable("the owner's stored id is not a chat id", blocked=False)
        if self._in_doubt and (trouble := await self._ask(chat_id)) is not None:
            return trouble
        try:
            async with asyncio.timeout(self._deadline):
                outcome = await self._deliver(notification, chat_id)
        except TimeoutError:
            outcome = Uncertain("no whole answer in time")
        self._in_doubt = isinstance(outcome, Uncertain)
        return outcome

    async def _ask(self, chat_id: int) -> SendOutcome | None:
        """Tell why nothing can be sent now. Asks with a message without a text, which Telegram refuses for certain."""
        try:
            async with asyncio.timeout(self._deadline / 2):
                answer = await self._post(chat_id, "", None, ())
        except TimeoutError:
            return Down("Telegram does not answer")
        match answer:
            case Down(why) | Uncertain(why):
                return Down(f"Telegram does not answer: {why}")
            case SlowDown() | TokenRefused():
                return answer
        return None

    async def _deliver(self, notification: Notification, chat_id: int) -> SendOutcome:
        message = word(notification, self._words)
        answer = await self._post(chat_id, message.html, ParseMode.HTML, message.keyboard)
        if isinstance(answer, Migrated):
            chat_id = answer.chat_id
            answer = await self._post(chat_id, message.html, ParseMode.HTML, message.keyboard)
        if isinstance(answer, Misparsed):
            log.error(
                "notification.misparsed",
                avatar_id=notification.subject,
                request_id=notification.request_id,
                kind=notification.topic.value,
                why=answer.why,
            )
            answer = await self._post(chat_id, message.plain, None, message.keyboard)
        match answer:
            case Delivered(message_id):
                return Sent(message_id, chat_id)
            case Migrated():
                return Rejected("the chat migrates again and again")
            case Misparsed(why):
                return Rejected(why)
        return answer

    async def _post(self, chat_id: int, text: str, parse_mode: ParseMode | None, keyboard: Keyboard) -> Answer:
        markup = InlineKeyboardMarkup(
            [[InlineKeyboardButton(label, callback_data=data) for label, data in row] for row in keyboard]
        )
        reply_markup = markup if keyboard else None
        try:
            sent = await self._bot.send_message(
                chat_id,
                text,
                parse_mode=parse_mode,
                reply_markup=reply_markup,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
            )
        except AnswerError as refusal:
            return refusal.answer
        except NetworkError as error:
            return read_breakdown(error)
        return Delivered(sent.message_id)


class LogMessenger:
    """Stands in where no token is configured: what would be sent is written to the log.

    Raises SettingsInvalid when there are no words in `default_language`.
    """

    def __init__(self, default_language: str) -> None:
        self._words = Catalogs(default_language)

    async def start(self) -> None:
        """Do nothing: there is nothing to open."""

    async def close(self) -> None:
        """Do nothing: there is nothing to close."""

    async def send(self, notification: Notification) -> SendOutcome:
        """Word a notification and log it."""
        text = word(notification, self._words).plain
        log.info(
            "notification.unsent",
            avatar_id=notification.subject,
            request_id=notification.request_id,
            kind=notification.topic.value,
            text=text,
        )
        return NoToken(text)
