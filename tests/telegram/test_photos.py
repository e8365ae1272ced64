"""Images into a chat: by URL, else as files, else not at all; and never twice."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from app.domain.message import Message, PhotoSet
from app.domain.send_outcome import (
    Down,
    NotYet,
    Rejected,
    SendOutcome,
    Sent,
    SlowDown,
    Uncertain,
    Unreachable,
)
from app.telegram import photos as photos_module
from app.telegram.client import TelegramClient
from app.telegram.photos import ALBUM_BYTES, PHOTO_LIMIT, UPLOADS, PhotoSender
from app.telegram.sender import TelegramMessenger
from tests.bot_api import CUT, HANG, BotApi, bot_api, no, ok

pytestmark = pytest.mark.anyio

CHAT = 42
ONE, TWO = "https://v3.fal.media/files/1.jpg", "https://v3.fal.media/files/2.jpg"
PHOTO = PhotoSet((ONE,), "<b>ready</b> &amp; shown", "ready & shown")
ALBUM = PhotoSet((ONE, TWO), "<b>ready</b>", "ready")
REFUSED = no(400, "Bad Request: wrong type of the web page content")
ALBUM_REFUSED = no(400, 'Bad Request: failed to send message #2 with the error message "WEBPAGE_MEDIA_EMPTY"')


def album(*message_ids: int) -> tuple[int, bytes]:
    return 200, json.dumps({"ok": True, "result": [{"message_id": one} for one in message_ids]}).encode()


@dataclass
class Store:
    """Gives each URL its file; remembers what it was asked for."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def fetch(self, url: str, limit: int) -> bytes | None:
        self.asked.append((url, limit))
        return self.files.get(url, b"jpeg")


@asynccontextmanager
async def sender(
    store: Store, *answers: tuple[int, bytes], patience: float = 10.0
) -> AsyncIterator[tuple[PhotoSender, BotApi, TelegramClient]]:
    async with bot_api(*answers) as api, TelegramClient("4242:AAx", api.url, timeout=patience) as client:
        yield PhotoSender(client, store.fetch), api, client


async def sent(
    photos: PhotoSet, *answers: tuple[int, bytes], store: Store | None = None, patience: float = 10.0
) -> tuple[SendOutcome, BotApi]:
    async with sender(store or Store(), *answers, patience=patience) as (photo_sender, api, _):
        return await photo_sender.send(CHAT, photos, is_silent=True), api


def methods(api: BotApi) -> list[str]:
    return [head.split()[1].rpartition("/")[2] for head, _ in api.asked]


async def test_one_image_goes_as_a_photo_by_its_url() -> None:
    """Telegram fetches it; the caption is escaped HTML, and it comes without a sound where that is asked."""
    outcome, api = await sent(PHOTO, ok(7))
    assert outcome == Sent(7, CHAT, 1)
    [(_, fields)] = api.asked
    assert fields == {
        "chat_id": CHAT,
        "photo": ONE,
        "caption": PHOTO.html,
        "parse_mode": "HTML",
        "disable_notification": True,
    }


async def test_several_go_as_one_album() -> None:
    """One request, the caption on the first image only."""
    outcome, api = await sent(ALBUM, album(7, 8))
    assert outcome == Sent(7, CHAT, 2)
    [(_, fields)] = api.asked
    assert [one["media"] for one in fields["media"]] == [ONE, TWO]
    assert ["caption" in one for one in fields["media"]] == [True, False]


@pytest.mark.parametrize(
    ("photos", "refusal", "taken"), [(PHOTO, REFUSED, ok(9)), (ALBUM, ALBUM_REFUSED, album(9, 10))]
)
async def test_what_telegram_cannot_fetch_is_uploaded(
    photos: PhotoSet, refusal: tuple[int, bytes], taken: tuple[int, bytes]
) -> None:
    """A refused album goes again as a whole, for nothing of it was shown; the outcome says why."""
    store = Store()
    outcome, api = await sent(photos, refusal, taken, store=store)
    assert outcome == Sent(9, CHAT, len(photos.urls), refused=outcome.refused)
    assert outcome.refused is not None
    assert outcome.refused.startswith("400 Bad Request")
    assert [url for url, _ in store.asked] == list(photos.urls)
    _, fields = api.asked[1]
    assert [fields[f"upload{number}"] for number in range(len(photos.urls))] == [b"jpeg"] * len(photos.urls)


async def test_an_image_that_cannot_be_had_leaves_the_album_unsent() -> None:
    """One missing file: nothing is uploaded, so that the links that follow repeat nothing."""
    outcome, api = await sent(ALBUM, ALBUM_REFUSED, store=Store({TWO: None}))
    assert isinstance(outcome, Rejected)
    assert methods(api) == ["sendMediaGroup"]


async def test_files_have_a_limit_each_and_together() -> None:
    """No more is fetched than one request may hold."""
    urls = tuple(f"{ONE}?{number}" for number in range(10))
    store = Store(dict.fromkeys(urls, b"x" * 9_000_000))
    outcome, _ = await sent(PhotoSet(urls, "", ""), ALBUM_REFUSED, album(*range(1, 11)), store=store)
    limits = [limit for _, limit in store.asked]
    assert limits[0] == PHOTO_LIMIT
    assert limits[4] == ALBUM_BYTES - 4 * 9_000_000
    assert isinstance(outcome, Sent)  # the store here gives what it has: FalCdn.fetch keeps to the limit


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([no(429, "Too Many Requests", retry_after=7)], SlowDown(7)),
        ([no(403, "Forbidden: bot was blocked by the user")], Unreachable),
        ([no(500, "Internal Server Error")], Down),
        ([CUT], Uncertain),
        ([HANG], Uncertain),
        ([ALBUM_REFUSED, no(429, "Too Many Requests", retry_after=7)], SlowDown),
        ([ALBUM_REFUSED, HANG], Uncertain),
        ([album(7)], Uncertain),  # fewer than were sent
    ],
)
async def test_what_is_no_refusal_ends_the_try(
    answers: list[tuple[int, bytes]], expected: SendOutcome | type[SendOutcome]
) -> None:
    """Nothing is offered another way unless Telegram said that it took nothing."""
    outcome, api = await sent(ALBUM, *answers, patience=0.3)
    assert isinstance(outcome, expected if isinstance(expected, type) else type(expected))
    assert len(api.asked) == len(answers)


async def test_a_misread_caption_goes_in_plain() -> None:
    """Our HTML is at fault, not the image: it goes by its URL all the same."""
    outcome, api = await sent(PHOTO, no(400, "Bad Request: can't parse entities"), ok(3))
    assert outcome == Sent(3, CHAT, 1, misparsed=outcome.misparsed)
    assert api.asked[1][1]["caption"] == PHOTO.plain
    assert api.asked[1][1]["photo"] == ONE


async def test_a_group_that_migrated_gets_them_at_its_new_id() -> None:
    """Once, with the same images."""
    outcome, api = await sent(ALBUM, no(400, "Bad Request", migrate_to_chat_id=-1009), album(5, 6))
    assert outcome == Sent(5, -1009, 2)
    assert api.asked[1][1]["chat_id"] == -1009


async def test_uploads_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """While UPLOADS are under way a third one gives way instead of filling the memory."""
    monkeypatch.setattr(photos_module, "TURN_SECONDS", 0.05)
    held = asyncio.Event()

    async def slow(url: str, limit: int) -> bytes | None:
        await held.wait()
        return b"jpeg"

    async with (
        bot_api(*[REFUSED] * (UPLOADS + 1), *[ok(1)] * UPLOADS) as api,
        TelegramClient("4242:AAx", api.url) as it,
    ):
        photo_sender = PhotoSender(it, slow)
        sends = [asyncio.create_task(photo_sender.send(CHAT, PHOTO, is_silent=False)) for _ in range(UPLOADS + 1)]
        done, _ = await asyncio.wait(sends, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.result()) for task in done] == [NotYet]
        held.set()
        outcomes = await asyncio.gather(*sends)
        assert sum(isinstance(outcome, Sent) for outcome in outcomes) == UPLOADS


async def test_the_last_resort_is_the_text_with_links() -> None:
    """Neither way is taken: the message goes as text, shows no image, and says why."""
    store = Store({ONE: None})
    async with sender(store, REFUSED, ok(4)) as (photo_sender, api, client):
        messenger = TelegramMessenger(client, photos=photo_sender)
        outcome = await messenger.send(CHAT, Message("links", "links", photos=PHOTO))
    assert outcome == Sent(4, CHAT, 0, refused=outcome.refused)
    assert methods(api) == ["sendPhoto", "sendMessage"]
    assert outcome.refused is not None


async def test_a_shown_image_is_followed_by_no_text() -> None:
    """One message: the photo with its caption."""
    async with sender(Store(), ok(4)) as (photo_sender, api, client):
        messenger = TelegramMessenger(client, photos=photo_sender)
        assert await messenger.send(CHAT, Message("links", "links", photos=PHOTO)) == Sent(4, CHAT, 1)
    assert methods(api) == ["sendPhoto"]
