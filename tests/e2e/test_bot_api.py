"""What we say to the Bot API, held to an emulator that others wrote (npm telegram-test-api) beside our own twin.

The emulator checks no markup, and knows three of our six methods: the rest stands in the table of verdicts.
"""

import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.domain.message import LinkButton, Message
from app.domain.send_outcome import Sent
from app.telegram.client import TelegramClient
from app.telegram.sender import TelegramMessenger
from app.twins.telegram import TelegramTwin
from tests.ports import free_port

pytestmark = pytest.mark.anyio

HERE = Path(__file__).parent
PACKAGE = "telegram-test-api@4.2.1"
TOKEN = "123456:emulated"
CHAT = 42


@dataclass
class BotApi:
    """A Bot API, and what stands in its chats: (chat, text, rows of buttons) each."""

    url: str
    shown: Callable[[], Awaitable[list[tuple[int, str, Any]]]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the emulator is installed."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("emulator")
    (folder / "package.json").write_text('{"private": true}')
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE], cwd=folder, check=True)
    shutil.copy(HERE / "emulator.js", folder)
    return folder


@pytest.fixture
def emulator(package: Path) -> Iterator[str]:
    """The emulator's URL."""
    port = free_port()
    command = ["node", "emulator.js", str(port)]
    with subprocess.Popen(command, cwd=package, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@asynccontextmanager
async def twin() -> AsyncIterator[BotApi]:
    api = TelegramTwin()

    async def shown() -> list[tuple[int, str, Any]]:
        return [(one.chat_id, one.text, one.reply_markup) for one in api.messages]

    async with api.serve() as url:
        yield BotApi(url, shown)


async def history(url: str) -> list[tuple[int, str, Any]]:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(f"{url}/getUpdatesHistory", json={"token": TOKEN})
    messages = [update["message"] for update in answer.json()["result"]]
    return [(one["chat_id"], one["text"], one.get("reply_markup")) for one in messages]


@pytest.fixture(params=["emulator", "twin"])
async def bot_api(request: pytest.FixtureRequest) -> AsyncIterator[BotApi]:
    """The emulator, then our twin: one contract for both."""
    if request.param == "twin":
        async with twin() as api:
            yield api
        return
    url = request.getfixturevalue("emulator")

    async def shown() -> list[tuple[int, str, Any]]:
        return await history(url)

    yield BotApi(url, shown)


async def test_a_message_stands_as_it_was_sent(bot_api: BotApi) -> None:
    """Text and buttons arrive whole, and the outcome holds the message's number and chat."""
    keyboard = ((("🔄 Создать заново", "create_avatar"),), (LinkButton("💬 Поддержка", "https://t.me/aisha"),))
    async with TelegramClient(TOKEN, bot_api.url) as client:
        outcome = await TelegramMessenger(client).send(CHAT, Message("<b>Айша</b> &amp; Ко", "Айша & Ко", keyboard))
    assert outcome == Sent(1, CHAT)
    rows = [
        [{"text": "🔄 Создать заново", "callback_data": "create_avatar"}],
        [{"text": "💬 Поддержка", "url": "https://t.me/aisha"}],
    ]
    assert await bot_api.shown() == [(CHAT, "<b>Айша</b> &amp; Ко", {"inline_keyboard": rows})]


async def test_numbers_go_up(bot_api: BotApi) -> None:
    """Each message has its own number, silent ones too."""
    async with TelegramClient(TOKEN, bot_api.url) as client:
        messenger = TelegramMessenger(client)
        outcomes = [await messenger.send(CHAT, Message("a", "a", is_silent=silent)) for silent in (False, True)]
    assert outcomes == [Sent(1, CHAT), Sent(2, CHAT)]


async def test_an_edit_takes_the_messages_place(bot_api: BotApi) -> None:
    """After an edit the chat holds one message, with the new words."""
    async with TelegramClient(TOKEN, bot_api.url) as client:
        messenger = TelegramMessenger(client)
        await messenger.send(CHAT, Message("в очереди", "в очереди"))
        await messenger.edit(CHAT, 1, Message("создаём", "создаём"))
    assert [text for _, text, _ in await bot_api.shown()] == ["создаём"]


async def test_the_bot_is_known(bot_api: BotApi) -> None:
    """getMe tells who the token belongs to."""
    async with TelegramClient(TOKEN, bot_api.url) as client:
        answer = await client.get_me()
    assert getattr(answer, "fields", {}).get("username") in ("TestNameBot", "aisha_twin_bot")
