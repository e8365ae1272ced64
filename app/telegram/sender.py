"""The port to Telegram's chats: one message in, one SendOutcome out."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

from app.domain.message import Message
from app.domain.send_outcome import Down, NoToken, Rejected, SendOutcome, SlowDown, TokenRefused, Uncertain
from app.telegram.answers import Answer, Migrated, Misparsed, NoAddress, outcome_of, read_edit
from app.telegram.client import TelegramClient
from app.telegram.photos import PhotoSender


class TelegramMessenger:
    """Writes through one client, and mends on the spot what can be: a group that migrated, HTML that is misread.

    After a send of unknown outcome Telegram is asked something harmless before the next one, so that an outage without
    a word costs no message one of its two tries.
    `deadline` (seconds) bounds a whole send with its repeats. Without `photos` images go as the links of their message.
    """

    def __init__(self, client: TelegramClient, deadline: float = 20.0, photos: PhotoSender | None = None) -> None:
        self._client = client
        self._deadline = deadline
        self._photos = photos
        self._in_doubt = False

    async def send(self, chat_id: int, message: Message) -> SendOutcome:
        """Send one message. Raises nothing that Telegram causes."""
        if self._in_doubt and (trouble := await self._ask(chat_id)) is not None:
            return trouble
        refused = None
        if message.photos is not None and self._photos is not None:
            shown = await self._photos.send(chat_id, message.photos, is_silent=message.is_silent)
            if not isinstance(shown, Rejected):
                return self._note(shown)
            refused = f"{shown.refused}; {shown.why}"
        until = self._until()

        async def post(text: str, *, html: bool) -> Answer:
            send = self._client.send_message(
                chat_id, text, html=html, keyboard=message.keyboard, silent=message.is_silent
            )
            return await _within(until, send)

        answer = await post(message.html, html=True)
        if isinstance(answer, Migrated):
            chat_id = answer.chat_id
            answer = await post(message.html, html=True)
        answer, misparsed = await _in_plain(answer, message, post)
        return self._note(replace(outcome_of(answer, chat_id, misparsed), refused=refused))

    async def edit(self, chat_id: int, message_id: int, message: Message) -> SendOutcome:
        """Put `message` in the place of one that was sent. Raises nothing that Telegram causes.

        Nothing is asked first: an edit may be repeated without harm. One that changes nothing is Sent.
        """
        until = self._until()

        async def post(text: str, *, html: bool) -> Answer:
            edit = self._client.edit_message_text(chat_id, message_id, text, html=html, keyboard=message.keyboard)
            return read_edit(await _within(until, edit), message_id)

        answer, misparsed = await _in_plain(await post(message.html, html=True), message, post)
        return self._note(outcome_of(answer, chat_id, misparsed))

    async def _ask(self, chat_id: int) -> SendOutcome | None:
        """Tell why nothing can be sent now. Asks with a message without a text, which Telegram refuses for certain."""
        try:
            async with asyncio.timeout(self._deadline / 2):
                answer = await self._client.send_message(chat_id, "")
        except TimeoutError:
            return Down("Telegram does not answer")
        match answer:
            case Down(why) | Uncertain(why):
                return Down(f"Telegram does not answer: {why}")
            case SlowDown() | TokenRefused():
                return answer
            case NoAddress(why):
                return TokenRefused(why)
        return None

    def _until(self) -> float:
        return asyncio.get_running_loop().time() + self._deadline

    def _note(self, outcome: SendOutcome) -> SendOutcome:
        self._in_doubt = isinstance(outcome, Uncertain)
        return outcome


class TokenlessMessenger:
    """Stands in where no token is configured: nothing goes out, and the outcome holds what would have."""

    async def send(self, chat_id: int, message: Message) -> SendOutcome:  # noqa: ARG002  the port's parameters
        """Send nothing."""
        return NoToken(message.plain)

    async def edit(self, chat_id: int, message_id: int, message: Message) -> SendOutcome:  # noqa: ARG002  as above
        """Edit nothing."""
        return NoToken(message.plain)


async def _in_plain(
    answer: Answer, message: Message, post: Callable[..., Awaitable[Answer]]
) -> tuple[Answer, str | None]:
    """Post the plain text where the HTML was misread; return the last answer, and why it was misread."""
    if not isinstance(answer, Misparsed):
        return answer, None
    return await post(message.plain, html=False), answer.why


async def _within(until: float, answer: Awaitable[Answer]) -> Answer:
    """Await an answer until a moment on the loop's clock."""
    try:
        async with asyncio.timeout_at(until):
            return await answer
    except TimeoutError:
        return Uncertain("no whole answer in time")
