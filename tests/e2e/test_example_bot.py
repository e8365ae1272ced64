"""examples/bot.py with the real aiogram, beside the real server: a training from the command to the pressed button."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.flows.kinds import GENERATION_PATH
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.sender import FalSender
from tests.docs.project import ROOT
from tests.e2e.packages import environment_in, uv
from tests.process.conftest import Outside, ServerProcess, launch

pytestmark = pytest.mark.anyio

REQUEST_ID = bodies.job_id(1)
IMAGES_ID = bodies.job_id(2)
API_TOKEN = "t" * 32
CHAT = 700000001
DRIVER = """
import asyncio, importlib, json, os, sys
from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.types import Message, Update
from aiohttp import web

said, asked = [], []


class Telegram(BaseSession):
    async def close(self): ...

    async def stream_content(self, *args, **options):
        yield b""

    async def make_request(self, bot, method, timeout=None):
        said.append([method.__api_method__, getattr(method, "text", None)])
        if method.__api_method__ == "sendMessage":
            return Message.model_validate({"message_id": 1, "date": 0, "chat": {"id": 1, "type": "private"}})
        return True


async def submitted(request):
    asked.append([request.path, dict(request.query), request.headers["Authorization"], await request.json()])
    return web.json_response({"request_id": sys.argv[1], "status": "IN_QUEUE"})


async def main():
    application = web.Application()
    application.router.add_post("/{path:.*}", submitted)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    os.environ["FAL_QUEUE_URL"] = "http://127.0.0.1:%d" % runner.addresses[0][1]
    module = importlib.import_module("bot")
    for number, update in enumerate(json.load(sys.stdin)):
        bot = Bot(os.environ["TELEGRAM_TOKEN"], session=Telegram())
        await module.dispatcher.feed_update(bot, Update.model_validate({"update_id": number, **update}))
    await runner.cleanup()
    print(json.dumps({"said": said, "asked": asked}))


asyncio.run(main())
"""
PERSON = {"id": CHAT, "is_bot": False, "first_name": "Айша", "language_code": "ru"}
MESSAGE = {"message_id": 1, "date": 0, "chat": {"id": CHAT, "type": "private"}, "from": PERSON}


def typed(text: str) -> dict[str, Any]:
    """What Telegram sends when somebody types a command."""
    command = {"type": "bot_command", "offset": 0, "length": len(text.split(maxsplit=1)[0])}
    return {"message": {**MESSAGE, "text": text, "entities": [command]}}


def pressed(data: str) -> dict[str, Any]:
    """What Telegram sends when somebody presses a button."""
    return {"callback_query": {"id": "1", "from": PERSON, "chat_instance": "1", "data": data, "message": MESSAGE}}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with aiogram, which cannot stand beside our own pydantic."""
    python = environment_in(tmp_path_factory.mktemp("aiogram"))
    try:
        uv("pip", "install", "--quiet", "--python", python, "aiogram")
    except subprocess.CalledProcessError:
        pytest.skip("aiogram could not be installed from PyPI")
    return python


async def told_by(python: Path, server: ServerProcess, *updates: dict[str, Any]) -> dict[str, Any]:
    """Import the bot, let it meet the updates; what it said to Telegram, and what it asked of fal."""
    environment = {
        "PYTHONPATH": str(ROOT / "examples"),
        "TELEGRAM_TOKEN": "123456789:" + "A" * 35,
        "FAL_API_KEY": "id:secret",
        "API_TOKEN": API_TOKEN,
        "FAL_WEBHOOK_URL": f"{server.url}{PATH}",
        "SSL_CERT_FILE": str(server.folder / "ssl/aibots_kz.crt"),
        "DATABASE": str(server.folder / "data/aisha.db"),
    }
    process = await asyncio.create_subprocess_exec(
        python,
        *("-c", DRIVER, IMAGES_ID),
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=sys.stderr,
    )
    output, _ = await process.communicate(json.dumps(updates).encode())
    assert process.returncode == 0
    found: dict[str, Any] = json.loads(output)
    return found


async def test_the_example_bot_goes_the_whole_way(python: Path, outside: Outside, tmp_path: Path) -> None:
    """The server submits its training; its images it submits and registers itself, at a button of our message."""
    changes = {"API_DOMAIN": "127.0.0.1", "API_TOKEN": API_TOKEN, "RECONCILE_AFTER": "86400"}
    server = await launch(tmp_path, {**outside.environment("sqlite:///data/aisha.db"), **changes})
    try:
        begun = await told_by(python, server, typed("/train https://example.com/photos.zip"))
        [taken] = outside.fal.submissions
        assert (begun["asked"], taken.endpoint) == ([], "fal-ai/flux-lora-portrait-trainer")
        assert taken.arguments["images_data_url"] == "https://example.com/photos.zip"
        assert [method for method, _ in begun["said"]] == ["sendMessage"]
        ca_file = server.folder / "ssl/aibots_kz.crt"
        async with FalSender(f"{server.url}{PATH}", outside.fal.key, ca_file=ca_file) as sender:
            await sender.deliver(REQUEST_ID, bodies.success(REQUEST_ID, bodies.portrait(REQUEST_ID)))
        [message] = await outside.telegram.heard(1)
        assert message.chat_id == CHAT
        keyboard = [button["callback_data"] for row in message.reply_markup["inline_keyboard"] for button in row]
        ended = await told_by(python, server, *map(pressed, keyboard))
        methods = [method for method, _ in ended["said"]]
        assert methods == ["answerCallbackQuery", "answerCallbackQuery", "sendMessage"]
        assert ended["said"][-1][1] == "Айша: completed"
        [[path, query, key, body]] = ended["asked"]
        images = f"{server.url}{GENERATION_PATH}"
        assert (path, query, key) == ("/fal-ai/flux-lora", {"fal_webhook": images}, "Key id:secret")
        assert body["loras"][0]["path"].endswith("_pytorch_lora_weights.safetensors")
        async with FalSender(images, outside.fal.key, ca_file=ca_file) as sender:
            await sender.deliver(IMAGES_ID, bodies.success(IMAGES_ID, bodies.images(IMAGES_ID, 2)))
        [_, pictures] = await outside.telegram.heard(2)
        assert (pictures.chat_id, len(pictures.photos)) == (CHAT, 2)
    finally:
        assert await server.stop() == 0
