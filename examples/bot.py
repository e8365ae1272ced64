"""A bot beside aisha-webhook: trainings go to fal through the server, images by itself; it answers messages' buttons.

Needs `pip install aiogram`, the tables of bot_tables.sql, and in the environment TELEGRAM_TOKEN, FAL_API_KEY, API_TOKEN
(the server's), FAL_WEBHOOK_URL (as the server prints it) and DATABASE, the path of the SQLite file.
"""

import asyncio
import os
import sqlite3
from urllib.parse import quote, urlsplit
from uuid import uuid4

from aiogram import Bot, Dispatcher, F
from aiogram.filters import Command, CommandObject
from aiogram.types import CallbackQuery, Message
from aiohttp import ClientSession

PAINTER = "fal-ai/flux-lora"
QUEUE = os.environ.get("FAL_QUEUE_URL", "https://queue.fal.run")
WEBHOOK = os.environ["FAL_WEBHOOK_URL"]
SERVER = "{0.scheme}://{0.netloc}".format(urlsplit(WEBHOOK))
IMAGES = f"{SERVER}/api/v1/generation/status_update"
FAL, OURS = f"Key {os.environ['FAL_API_KEY']}", f"Bearer {os.environ['API_TOKEN']}"
database = sqlite3.connect(os.environ.get("DATABASE", "data/aisha.db"), timeout=10, isolation_level=None)
dispatcher = Dispatcher()


async def post(url: str, authorization: str, body: dict) -> dict:
    async with ClientSession(headers={"Authorization": authorization}, raise_for_status=True) as http:
        return await (await http.post(url, json=body)).json()


@dispatcher.message(Command("train"))
async def train(message: Message, command: CommandObject) -> None:
    """/train https://…/photos.zip: the row first, then the server, which asks fal once and writes the request id."""
    avatar, who = str(uuid4()), message.from_user
    found = database.execute("SELECT id FROM users WHERE telegram_id = ?", [str(who.id)]).fetchone()
    owner = found[0] if found else str(uuid4())
    if not found:
        new = [owner, str(who.id), who.first_name, who.language_code or "ru"]
        database.execute("INSERT INTO users (id, telegram_id, first_name, language_code) VALUES (?, ?, ?, ?)", new)
    into = "INSERT INTO avatars (id, user_id, name, training_type, status) VALUES (?, ?, ?, 'portrait', 'draft')"
    database.execute(into, [avatar, owner, who.first_name])
    wanted = {"avatar_id": avatar, "images_url": command.args, "type": "portrait", "idempotency_key": avatar}
    await post(f"{SERVER}/api/v1/trainings", OURS, wanted)
    await message.answer("Training has begun. You will be told when it ends.")


@dispatcher.callback_query(F.data == "avatar_gallery")
async def gallery(query: CallbackQuery) -> None:
    """The button "My avatars"."""
    mine = "SELECT name, status FROM avatars JOIN users ON users.id = avatars.user_id WHERE telegram_id = ?"
    rows = database.execute(mine.replace("name", "avatars.name", 1), [str(query.from_user.id)]).fetchall()
    await query.answer()
    await query.message.answer("\n".join(f"{name}: {status}" for name, status in rows) or "No avatars yet.")


@dispatcher.callback_query(F.data.startswith("avatar_generate:"))
async def generate(query: CallbackQuery) -> None:
    """The button "Make a picture": fal makes it, and the server sends it here when it is there."""
    avatar = query.data.partition(":")[2]
    row = "SELECT diffusers_lora_file_url FROM avatars WHERE id = ? AND status = 'completed'"
    found = database.execute(row, [avatar]).fetchone()
    await query.answer()
    if not found or not found[0]:
        await query.message.answer("It is not ready.")
        return
    asked = {"prompt": f"TOK_{avatar[:8]} in a garden", "num_images": 2, "loras": [{"path": found[0]}]}
    sent = await post(f"{QUEUE}/{PAINTER}?fal_webhook={quote(IMAGES, safe='')}", FAL, asked)
    job = {"request_id": sent["request_id"], "kind": "generation", "endpoint": PAINTER, "chat_id": query.from_user.id}
    await post(f"{SERVER}/api/v1/jobs", OURS, job)


@dispatcher.callback_query(F.data == "create_avatar")
async def create(query: CallbackQuery) -> None:
    """The button "Create again" below a failure."""
    await query.answer()
    await query.message.answer("Send /train and the address of a zip with photos.")


if __name__ == "__main__":
    asyncio.run(dispatcher.start_polling(Bot(os.environ["TELEGRAM_TOKEN"])))
