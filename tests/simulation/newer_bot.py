"""A bot of the newer kind: it has the server submit trainings, cancels some of them, and registers generations."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import orjson

from tests.simulation import mistakes
from tests.simulation.chance import stream
from tests.simulation.course import Course, until
from tests.simulation.server import Broken, Refused
from tests.simulation.settings import API_TOKEN

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
        self._chance = stream(world.seed, "newer bot")
        self.has_table = self._chance.random() < 0.6
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
        await self._slip(course, body, chance)
        if chance.random() < 0.25:
            await asyncio.sleep(chance.uniform(0, 600))
            path = f"/api/v1/trainings/{course.request_id}"
            await self._ask("DELETE", path, None, chance)
            await self._ask("GET", path, None, chance)

    async def _slip(self, course: Course, body: dict[str, Any], chance: random.Random) -> None:
        """Ask for what cannot be had, and for the same once more."""
        if chance.random() >= self._world.temper.errs:
            return
        known = course.request_id in self._world.fal.jobs
        slips = [*mistakes.about_trainings(course, body, chance), *mistakes.about_jobs(course, chance)]
        job = self._world.fal.jobs.get(course.request_id)
        now = self._world.loop.time()
        if job is not None and now < course.ends - 30 and (job.forgotten_at or 0.0) > self._world.unix():
            slips += mistakes.about_what_is_at_work(body) * 3
        for asked in chance.sample(slips, 5):
            await mistakes.slip(self._world, chance, asked)
        if known:
            await self._ask("POST", "/api/v1/trainings", body, chance)
            await self._ask("GET", f"/api/v1/trainings/{course.request_id}", None, chance)

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
        if course.is_registered and chance.random() < self._world.temper.errs:
            differs = ("POST", "/api/v1/jobs", {**body, "language": "kk", "steps": 9}, frozenset({400, 409}))
            await mistakes.slip(self._world, chance, differs)
        if row_id is not None and chance.random() < max(0.03, self._world.temper.meddles / 2):
            await asyncio.sleep(chance.choice((0, 0, 2, 10)))
            self._meddle(course, row_id, chance)

    def _meddle(self, course: Course, row_id: str, chance: random.Random) -> None:
        """Cancel a generation, or write its end before the server does."""
        status = chance.choice(("cancelled", "cancelled", "completed", "failed"))
        statement = f"UPDATE image_generations SET status = '{status}' WHERE id = ? AND status = 'processing'"
        touched = bool(self._world.bot.write(f"sets {course.number} to {status}", (statement, (row_id,))))
        course.is_cancelled |= touched

    async def ask_once(self, method: str, path: str, raw: bytes, *, token: str | None = None) -> int:
        """Ask a server; return the status, 0 where there is no answer. `token`: in the place of the right one."""
        headers = {"Content-Type": "application/json", "Authorization": token or f"Bearer {API_TOKEN}"}
        status = 0
        with suppress(Refused, Broken, TimeoutError):
            server = self._chance.choice(self._world.servers)
            status, _ = await server.ask(method, path, headers, raw, address="10.0.0.7", patience=60.0)
        self._world.ledger.note("bot", f"{method} {path}: {status}")
        return status

    async def _ask(self, method: str, path: str, body: Any, chance: random.Random) -> bool:
        """Ask until there is an answer that stands; tell whether it was one of consent."""
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
