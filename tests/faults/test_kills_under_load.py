"""Fault 1: kill -9 at a random moment while deliveries come in, are applied and are told."""

import asyncio
import time
from itertools import islice

import pytest

from tests.faults.rig import Rig, dice, job, many, tell

pytestmark = pytest.mark.anyio

CLIENTS = 8
PAUSE = 0.05  # s between two deliveries of one client: the queue is to be at work as well, and not only the way in
AT_LEAST = 20  # answers between two kills
SETTINGS = {"LOG_LEVEL": "INFO", "TELEGRAM_RATE": "1000"}


async def test_no_kill_under_load_loses_what_was_answered_or_tells_it_twice_unnoticed(rig: Rig) -> None:
    """Whatever was answered 200 before a kill -9 is applied once and told, by the next start (fault 1)."""
    begun = time.monotonic()
    dialect = rig.database_url.partition(":")[0]
    chance = dice(f"kills under load, {dialect}")
    kills = many(50, 2)
    rig.settings |= SETTINGS
    server = await rig.start()
    stop = asyncio.Event()
    numbers = iter(range(1_000_000))
    training = asyncio.Lock()
    async with rig.sender(speed=60) as fal:

        async def client() -> None:
            while not stop.is_set():
                own = [job(number) for number in islice(numbers, 10)]
                async with training:
                    await asyncio.to_thread(rig.train, [request_id for request_id, _ in own])
                for request_id, body in own:
                    await fal.deliver(request_id, body)
                    await asyncio.sleep(PAUSE)

        clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
        for _ in range(kills):
            answered = AT_LEAST + sum(record.acknowledged for record in fal.log)
            async with asyncio.timeout(60):
                while sum(record.acknowledged for record in fal.log) < answered:  # noqa: ASYNC110  the log has no event
                    await asyncio.sleep(0.02)
            await asyncio.sleep(chance.uniform(0, 2))
            server.process.kill()
            await server.ended()
            rig.crashes += 1 + rig.count("webhook_notifications", "state = 'pending'")  # each may be under way
            server = await rig.start()
        stop.set()
        await asyncio.gather(*clients)
        healed = await rig.settled(120)
    figures = rig.check()
    tell(
        f"kills under load, {dialect}",
        kills=kills,
        settled_after=round(healed, 1),
        seconds=round(time.monotonic() - begun),
        figures=figures,
    )
    assert figures.acknowledged >= AT_LEAST * kills
