"""Images into a chat: by their URLs, else as files that were fetched here; the last resort is the caller's.

A refusal says that nothing of it stands in the chat: the Bot API sends an album as a whole or fails it as a whole
(docs/telegram.md). So the next way may show every image again. An answer that did not come says nothing: then no image
is offered a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from app.domain.message import PhotoSet
from app.domain.send_outcome import NotYet, Rejected, SendOutcome, Sent, Uncertain
from app.telegram.answers import Album, Answer, Delivered, Migrated, Misparsed, outcome_of
from app.telegram.client import TelegramClient

PHOTO_LIMIT = 10_000_000  # bytes of one uploaded photo (Bot API, sendPhoto)
ALBUM_BYTES = 40_000_000  # of all uploaded in one request: it may have 50 MB (Bot API), and is held in memory
UPLOADS = 2  # at the same time
TURN_SECONDS = 8.0  # how long one waits for its turn before it gives way to others
BUSY_SECONDS = 5.0

Fetch = Callable[[str, int], Awaitable[bytes | None]]  # a URL and the most bytes; None where it cannot be had


class PhotoSender:
    """Sends one to ten images. `fetch` gets those whose URLs Telegram refused.

    `deadline` (seconds) bounds the whole, the wait for a turn among them. `client` should be patient: Telegram fetches
    every URL before it answers.
    """

    def __init__(self, client: TelegramClient, fetch: Fetch, deadline: float = 45.0) -> None:
        self._client = client
        self._fetch = fetch
        self._deadline = deadline
        self._turns = asyncio.Semaphore(UPLOADS)

    async def send(self, chat_id: int, photos: PhotoSet, *, is_silent: bool) -> SendOutcome:
        """Send them all, or none. `Rejected`: nothing was shown, and Telegram takes them neither way."""
        try:
            async with asyncio.timeout(self._deadline):
                by_url = await self._post(chat_id, photos, photos.urls, is_silent=is_silent)
                if not isinstance(by_url, Rejected):
                    return by_url
                uploaded = await self._upload(chat_id, photos, is_silent=is_silent)
                return replace(uploaded, refused=by_url.why)
        except TimeoutError:
            return Uncertain("the images were not taken in time")

    async def _upload(self, chat_id: int, photos: PhotoSet, *, is_silent: bool) -> SendOutcome:
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            return NotYet(BUSY_SECONDS)
        try:
            files = await self._fetch_all(photos.urls)
            if files is None:
                return Rejected("an image could not be fetched, or is too large")
            return await self._post(chat_id, photos, files, is_silent=is_silent)
        finally:
            self._turns.release()

    async def _fetch_all(self, urls: Sequence[str]) -> list[bytes] | None:
        files: list[bytes] = []
        room = ALBUM_BYTES
        for url in urls:
            file = await self._fetch(url, min(PHOTO_LIMIT, room))
            if not file:
                return None
            files.append(file)
            room -= len(file)
        return files

    async def _post(
        self, chat_id: int, photos: PhotoSet, files: Sequence[str | bytes], *, is_silent: bool
    ) -> SendOutcome:
        answer = await self._ask(chat_id, files, photos.html, html=True, is_silent=is_silent)
        if isinstance(answer, Migrated):
            chat_id = answer.chat_id
            answer = await self._ask(chat_id, files, photos.html, html=True, is_silent=is_silent)
        misparsed = None
        if isinstance(answer, Misparsed):
            misparsed = answer.why
            answer = await self._ask(chat_id, files, photos.plain, html=False, is_silent=is_silent)
        return _outcome(answer, chat_id, len(files), misparsed)

    async def _ask(
        self, chat_id: int, files: Sequence[str | bytes], caption: str, *, html: bool, is_silent: bool
    ) -> Answer:
        if len(files) == 1:
            return await self._client.send_photo(chat_id, files[0], caption=caption, html=html, silent=is_silent)
        return await self._client.send_media_group(chat_id, files, caption=caption, html=html, silent=is_silent)


def _outcome(answer: Answer, chat_id: int, count: int, misparsed: str | None) -> SendOutcome:
    match answer:
        case Delivered(message_id) if count == 1:
            return Sent(message_id, chat_id, count, misparsed=misparsed)
        case Album(message_ids) if count > 1:
            if len(message_ids) >= count:
                return Sent(message_ids[0], chat_id, count, misparsed=misparsed)
            # Never seen. Which ones are missing is not said, so none is offered again.
            return Uncertain(f"an album of {count} came back as {len(message_ids)}", misparsed=misparsed)
    return outcome_of(answer, chat_id, misparsed)
