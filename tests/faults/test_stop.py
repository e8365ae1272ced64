"""Fault 51: SIGTERM under load."""

import asyncio
import itertools
import time
from collections import Counter

import pytest

from tests.faults.rig import Rig, dice, full_only, job, many, tell, until

pytestmark = pytest.mark.anyio

CLIENTS = 16
OBEYED_WITHIN = 10.0  # s
LEASE = 60  # s, the default
CLOSED = {"ConnectError", "ReadError", "RemoteProtocolError", "WriteError"}  # nobody listens, or an idle one was let go


async def test_a_stop_under_load_finishes_what_is_under_way(rig: Rig) -> None:
    """At random times: exit 0 within 10 s, nothing acknowledged is lost, nothing applied or told twice (fault 51)."""
    chance = dice("sigterm")
    stops, jobs = many(10, 1), many(3000, 300)
    rig.train([job(number)[0] for number in range(jobs)])
    numbers = itertools.count()
    enough = asyncio.Event()
    took: list[float] = []
    server = await rig.start()
    async with rig.sender(speed=60, connections=CLIENTS) as fal:

        async def client() -> None:
            while not enough.is_set() and (number := next(numbers)) < jobs:
                await fal.deliver(*job(number))
                await asyncio.sleep(0.02)

        clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
        for _ in range(stops):
            await asyncio.sleep(chance.uniform(0.2, 1.5))
            begun = time.monotonic()
            assert await server.stop() == 0
            took.append(time.monotonic() - begun)
            server = await rig.start()
        enough.set()
        await asyncio.gather(*clients)
    settled = await rig.settled()
    assert await server.stop() == 0
    figures = rig.check()
    ends = Counter(str(a.status or a.error) for record in rig.records for a in record.attempts)
    tell(
        "sigterm", stops=stops, slowest=round(max(took), 2), settled=round(settled, 1), ends=dict(ends), figures=figures
    )
    assert max(took) <= OBEYED_WITHIN
    assert set(ends) <= {"200", "503", *CLOSED}


@full_only
async def test_messages_that_wait_for_their_slot_are_given_back(rig: Rig) -> None:
    """A stop while the queue drains at the budget: none counts as uncertain, none waits for a lease (fault 51)."""
    amount, rate = 120, 25
    pairs = [job(number) for number in range(amount)]
    rig.train([request_id for request_id, _ in pairs])
    rig.settings |= {"TELEGRAM_RATE": str(rate), "LEASE_SECONDS": str(LEASE)}
    server = await rig.start()
    async with rig.sender() as fal:
        await fal.deliver_all(pairs)
    await until(lambda: len(rig.outside.telegram.messages) > rate, 20, every=0.05)
    assert await server.stop() == 0
    begun = time.monotonic()
    await rig.start()
    left = amount - len(rig.outside.telegram.messages)
    await rig.settled(LEASE + 30)
    settled = time.monotonic() - begun
    figures = rig.check()
    tell("stop while draining", left=left, settled_after=round(settled, 1), figures=figures)
    assert figures.uncertain == 0
    assert settled < LEASE / 2
