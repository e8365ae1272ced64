"""Reconcile on one database, with a fal that says what it is told to."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from app.db import jobs
from app.db.engine import Connection, Database
from app.db.jobs import Expected
from app.db.registered_jobs import Registration, register
from app.db.tables import deliveries
from app.db.tables import jobs as table
from app.db.trainings import BotTables
from app.domain.job import JobKind
from app.domain.look import Trouble, Unsaid
from app.fal.payload import FalAnswer
from app.flows.ports import FalQueue
from app.flows.reconcile import Reconcile
from tests.factories import LORA, Bot
from tests.fakes import FrozenClock, no_jitter

PORTRAIT = "fal-ai/flux-lora-portrait-trainer"
STYLE = "fal-ai/flux-lora-fast-training"
EVERY = 60.0
DOWN = Unsaid(Trouble.FAL_DOWN, "no answer")
QUEUED = FalAnswer(202, {}, b'{"status":"IN_QUEUE","queue_position":7}')
AT_WORK = FalAnswer(202, {}, b'{"status":"IN_PROGRESS"}')
COMPLETED = FalAnswer(200, {}, b'{"status":"COMPLETED","metrics":{"inference_time":7.5}}')
NOT_FOUND = FalAnswer(404, {}, b'{"status":"NOT_FOUND"}')
NO_RESULT = FalAnswer(404, {}, b'{"detail":"Request not found"}')
TOO_EARLY = FalAnswer(400, {}, b'{"detail":"Request is still in progress"}')
DONE = FalAnswer(200, {}, json.dumps({"diffusers_lora_file": {"url": LORA}, "timings": {"t": 1}}).encode())
REFUSED = FalAnswer(422, {}, b'{"detail":[{"loc":["body"],"msg":"no face found","type":"face_detection_error"}]}')
NOWHERE = FalAnswer(200, {}, b'{"items":[],"has_more":false,"next_cursor":null}')


@dataclass
class ScriptedFal:
    """Says of each (question, endpoint) what it was told to say; remembers every question."""

    said: dict[tuple[str, str], FalAnswer | Unsaid] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        return self._say("status", endpoint, request_id, NOT_FOUND)

    async def result(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        return self._say("result", endpoint, request_id, NO_RESULT)

    async def logs(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        return self._say("logs", endpoint, request_id, NOT_FOUND)

    async def listed(self, endpoint: str, request_id: str) -> FalAnswer | Unsaid:
        return self._say("listed", endpoint, request_id, NOWHERE)

    def _say(self, what: str, endpoint: str, request_id: str, otherwise: FalAnswer) -> FalAnswer | Unsaid:
        self.asked.append((what, endpoint, request_id))
        return self.said.get((what, endpoint), otherwise)

    def questions(self) -> list[str]:
        return [what for what, _, _ in self.asked]


@dataclass
class Desk:
    """Reconcile on one database, with a fal that says what it is told to."""

    database: Database
    bot: Bot
    clock: FrozenClock
    fal: ScriptedFal
    reconcile: Reconcile
    woken: list[str]

    async def expect(self, *request_ids: str, is_historic: bool = False) -> None:
        found = [Expected(request_id, "a1", PORTRAIT, is_historic) for request_id in request_ids]
        await self.database.write(jobs.expect, found, now=self.clock.at, due_at=self.clock.at)

    async def train(self, *request_ids: str) -> None:
        for request_id in request_ids:
            await self.bot.train(request_id)
        await self.expect(*request_ids)

    async def train_many(self, request_ids: Sequence[str]) -> None:
        await self.bot.train_many(request_ids)
        await self.expect(*request_ids)

    async def register(self, request_id: str) -> None:
        told = Registration(request_id, JobKind.TRAINING, PORTRAIT)
        await self.database.write(register, told, now=self.clock.at, due_at=self.clock.at)

    async def look_again(self, seconds: float = EVERY) -> int:
        self.clock.move(seconds)
        return await self.reconcile()

    async def job(self, request_id: str = "r1") -> dict[str, Any]:
        def load(connection: Connection) -> dict[str, Any]:
            row = connection.execute(select(table).where(table.c.request_id == request_id)).mappings().one()
            return {str(name): value for name, value in row.items()}

        return await self.database.read(load)

    async def entered(self) -> list[tuple[str, str, bytes]]:
        def load(connection: Connection) -> list[tuple[str, str, bytes]]:
            columns = (deliveries.c.request_id, deliveries.c.source, deliveries.c.body)
            return [tuple(row) for row in connection.execute(select(*columns).order_by("id"))]

        return await self.database.read(load)


def reconcile_of(
    database: Database,
    bot_tables: BotTables,
    fal: FalQueue,
    clock: FrozenClock,
    woken: list[str] | None = None,
    **more: Any,
) -> Reconcile:
    """Assemble what asks `fal`; `woken` hears of what entered the inbox. `more` is Reconcile's own."""
    heard = [] if woken is None else woken
    return Reconcile(
        database,
        bot_tables,
        fal,
        clock,
        every=timedelta(seconds=EVERY),
        lease=timedelta(seconds=60),
        orphans=timedelta(hours=24),
        known_endpoints=[PORTRAIT, STYLE],
        chance=no_jitter,
        wake_apply=lambda: heard.append("apply"),
        **more,
    )


def desk_of(
    database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock, fal: ScriptedFal | None = None
) -> Desk:
    """Assemble a desk."""
    scripted, woken = fal or ScriptedFal(), list[str]()
    return Desk(database, bot, clock, scripted, reconcile_of(database, bot_tables, scripted, clock, woken), woken)


async def register_all(database: Database, request_ids: Sequence[str], clock: FrozenClock) -> None:
    """Put jobs on record as the bot's API does, due at once."""
    for request_id in request_ids:
        told = Registration(request_id, JobKind.TRAINING, PORTRAIT)
        await database.write(register, told, now=clock.at, due_at=clock.at)
