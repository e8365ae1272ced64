"""The operator, and the bot's registrations: what is asked of the server on purpose."""

import asyncio
import random
from contextlib import suppress
from typing import Any

import orjson

from app.db.engine import Database
from app.db.operator_queries import CHANGEABLE
from app.domain.errors import DatabaseUnavailable
from app.flows.operate import Operation, operate
from tests.simulation import curious, visits
from tests.simulation.chance import one_of, stream
from tests.simulation.course import Course, until
from tests.simulation.plan import DAY
from tests.simulation.server import Broken, Life, Refused, apart
from tests.simulation.settings import API_TOKEN

PAUSE = 3 * 3600.0  # s between two visits, on average
OFTEN = 10  # visits that a day of any length has at least
VISITS: dict[Any, float] = {
    None: 3, curious.look: 2, curious.ask_why: 1, visits.act_on_many: 4, visits.ask_by_hand: 2,
}  # fmt: skip


class Operator:
    """Redrives and ignores rows, registers jobs."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._chance = stream(world.seed, "operator")

    async def work(self) -> None:
        """Come by a few times a day."""
        pause = min(PAUSE, self._world.plan.days * DAY / OFTEN)
        while True:
            await asyncio.sleep(self._chance.expovariate(1 / (PAUSE / 4 if self._world.is_over else pause)))
            with suppress(DatabaseUnavailable):
                await self._visit()

    async def _visit(self) -> None:
        world, chance = self._world, self._chance
        work = one_of(chance, VISITS)
        if work is not None:

            async def do(database: Database, life: Life) -> None:
                await work(world, database, life, chance)

            await apart("operator", world.settings, world.ledger, lambda: world.clock_offset, do)
            return
        queue = chance.choice(CHANGEABLE)
        table = f"webhook_{queue}"
        dead = world.checker.rows(f"SELECT id, request_id FROM {table} WHERE state = 'dead' LIMIT 20")
        every = world.checker.rows(f"SELECT id, request_id FROM {table} ORDER BY rowid DESC LIMIT 40")
        chosen = [*dead[:5], *chance.sample(every, min(len(every), 2))]
        operation = chance.choice((Operation.REDRIVE, Operation.REDRIVE, Operation.IGNORE))
        for row in chosen:
            course = world.courses.get(row["request_id"])
            if course is not None and operation is Operation.IGNORE:
                course.is_touched = True
        ids = [row["id"] for row in chosen]

        async def act(database: Database, life: Life) -> None:
            await operate(database, life, queue, operation, ids=ids, who="operator")

        if ids:
            await apart("operator", world.settings, world.ledger, lambda: world.clock_offset, act)

    async def register(self, course: Course, chance: random.Random) -> None:
        """Tell the server of a job, as a bot of the newer kind does."""
        await until(course.begins + chance.choice((0.3, 2, 60)))
        address = f"https://queue.fal.run/{'/'.join(course.endpoint.split('/')[:2])}/requests/{course.request_id}"
        body = {
            "request_id": course.request_id,
            "kind": "training",
            "endpoint": course.endpoint,
            "status_url": f"{address}/status",
            "response_url": address,
            "subject_id": course.avatar_id,
        }
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {API_TOKEN}"}
        for _ in range(5):
            server = chance.choice(self._world.servers)
            with suppress(Refused, Broken, TimeoutError):
                asked = ("POST", "/api/v1/jobs", headers, orjson.dumps(body))
                status, _ = await server.ask(*asked, address="10.0.0.7", patience=15.0)
                self._world.ledger.note("bot", f"registers {course.number}: {status}")
                if status < 300:
                    course.is_registered = True
                    return
            await asyncio.sleep(20)
