"""A bot of the newer kind: it has the server submit trainings, cancels some of them, and registers generations."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import orjson

from tests.simulation.chance import stream
from tests.simulation.course import Course, until
from tests.simulation.server import Broken, Refused

PHOTOS = "https://photos.example/{}.zip"
TABLE = (
    "CREATE TABLE image_generations (id VARCHAR(36) PRIMARY KEY, user_id VARCHAR(36), original_prompt TEXT, "
    "status VARCHAR(20), result_urls JSON, error_message TEXT, completed_at DATETIME)"
)
TRIES = 6
AGAIN = 20.0  # s
GIVES_UP = frozenset({400, 402, 404, 409, 424})  # answers after which asking again is of no use


class NewerBot:
    """Asks over /api/v1. `submitted` are its trainings by the address of their photos."""

    def __init__(self, world: Any) -> None:
        self._world = world
        chance = stream(world.seed, "newer bot")
        self.has_table = chance.random() < 0.6
        self.submitted: dict[str, tuple[Course, random.Random]] = {}
        self.avatars: set[str] = set()

    async def submit(self, course: Course, chance: random.Random) -> None:
        """Have a training submitted, with the same key until there is an answer that stands."""
        await until(course.begins)
        world = self._world
        self.submitted[PHOTOS.format(course.number)] = (course, chance)
        self.avatars.add(course.avatar_id)
        world.bot.make_avatar(course)
        body: dict[str, Any] = {
            "avatar_id": course.avatar_id,
            "images_url": PHOTOS.format(course.number),
            "type": course.type,
            "idempotency_key": f"key-{course.number}",
        }
        if chance.random() < 0.3:
            body["trigger"] = "TOK"
        if chance.random() < 0.3:
            body["steps"] = chance.choice((500, 2000, 9000))
        twice = self._ask("POST", "/api/v1/trainings", body, chance)
        if chance.random() < 0.1:  # a double click
            await asyncio.gather(twice, self._ask("POST", "/api/v1/trainings", body, chance))
        else:
            await twice
        if chance.random() < 0.25:
            await asyncio.sleep(chance.uniform(0, 600))
            path = f"/api/v1/trainings/{course.request_id}"
            await self._ask("DELETE", path, None, chance)
            await self._ask("GET", path, None, chance)

    async def generate(self, course: Course, chance: random.Random) -> None:
        """Register a generation, with a row of the bot's own where it keeps them."""
        await until(course.begins + chance.choice((0.1, 0.5, 30)))
        row_id = course.avatar_id if self.has_table and chance.random() < 0.9 else None
        if row_id is not None:
            statement = (
                "INSERT INTO image_generations (id, user_id, original_prompt, status) VALUES (?, ?, ?, 'processing')"
            )
            self._world.bot.write(f"makes images {course.number}", (statement, (row_id, course.user_id, "a <garden>")))
        body = {
            "request_id": course.request_id,
            "kind": "generation",
            "endpoint": course.endpoint,
            "chat_id": course.chat_id,
            "language": course.language or "ru",
        }
        if row_id is not None:
            body["subject_id"] = row_id
        course.is_registered = await self._ask("POST", "/api/v1/jobs", body, chance)
        if chance.random() < 0.03 and row_id is not None:
            statement = "UPDATE image_generations SET status = 'cancelled' WHERE id = ? AND status = 'processing'"
            course.is_cancelled = bool(self._world.bot.write(f"cancels {course.number}", (statement, (row_id,))))

    async def _ask(self, method: str, path: str, body: Any, chance: random.Random) -> bool:
        """Ask until there is an answer that stands; tell whether it was one of consent."""
        from tests.simulation.world import API_TOKEN  # noqa: PLC0415  the world imports the bot

        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_TOKEN}"}
        raw = b"" if body is None else orjson.dumps(body)
        for _ in range(TRIES):
            server = chance.choice(self._world.servers)
            with suppress(Refused, Broken, TimeoutError):
                status, said = await server.ask(method, path, headers, raw, address="10.0.0.7", patience=60.0)
                self._world.ledger.note("bot", f"{method} {path}: {status} {said[:90].decode('utf-8', 'replace')}")
                if status < 300 or status in GIVES_UP:
                    return bool(status < 300)
            await asyncio.sleep(AGAIN)
        return False
