"""Fault 1: kill -9 at every system call on the way of a delivery, from its last byte in to `sent`."""

import asyncio
import time

import pytest

from app.twins import bodies
from tests.faults.rig import FULL, Rig, Server, full_only, job, tell, until
from tests.faults.tracing import ASK, SPEAK, STORE, needs_strace, traced

pytestmark = [pytest.mark.anyio, needs_strace]

MOST = 200  # calls on one way; it is far fewer, and a loop must end
SPEED = 60.0  # of fal's retries: 0 s, 0.7 s, 2 s, 2.9 s, 6 s …
SETTINGS = {"POLL_INTERVAL": "3", "LOG_LEVEL": "INFO"}  # polls would be counted as part of the way


async def one_way(rig: Rig, server: Server, number: int, *options: str) -> bool:
    """Send delivery `number` to a server that strace may kill; mend, and tell whether it died."""
    request_id, body = job(number)
    if number % 3 == 2:
        body = bodies.validation_failure(request_id)
    rig.train([request_id])
    async with rig.sender(speed=SPEED) as fal:
        async with traced(server.pid, *options):
            delivering = asyncio.create_task(fal.deliver(request_id, body))
            told = f"request_id = '{request_id}' AND state = 'sent'"
            await until(
                lambda: server.process.returncode is not None or bool(rig.count("webhook_notifications", told)), 30
            )
            await asyncio.sleep(0.3)  # what follows `sent` is part of the way
        died = server.process.returncode is not None
        if died:
            rig.crashes += 1
            rig.end_leases()
            await rig.start()
        record = await delivering
        assert record.acknowledged
        await rig.settled()
    return died


async def campaign(name: str, rig: Rig, options: str, calls: str, *, sample: int) -> None:
    """Kill at call 1, 2, 3 … until a run survives; the bounded form kills at call `sample` only."""
    begun = time.monotonic()
    rig.settings |= SETTINGS
    server = await rig.start()
    for when in range(1, MOST + 1) if FULL else [sample]:
        await asyncio.sleep(0.5)  # what a start does beside waiting is over
        inject = ("-e", f"trace={calls}", "-e", f"inject={calls}:signal=SIGKILL:when={when}")
        died = await one_way(rig, server, when, *options.split(), *inject)
        rig.check()
        if not died:
            break
        server = rig.servers[-1]
    figures = rig.check()
    tell(name, calls=rig.crashes, survived=not died, broken=0, figures=figures, seconds=round(time.monotonic() - begun))
    assert died is not FULL


async def test_a_kill_at_every_write_to_the_file_loses_and_repeats_nothing(sqlite_rig: Rig) -> None:
    """SQLite: killed at pwrite64, fdatasync number 1, 2, 3 …, those of COMMIT among them (fault 1)."""
    await campaign("kill sqlite store", sqlite_rig, "-f", STORE, sample=20)


async def test_a_kill_at_every_word_to_postgresql_loses_and_repeats_nothing(postgres_rig: Rig) -> None:
    """Killed before COMMIT is sent, before its answer is read, and at every other word between them (fault 1).

    strace counts for each thread, and each writer has one of its own.
    """
    await campaign("kill postgresql ask", postgres_rig, "-f", ASK, sample=7)


@full_only
async def test_a_kill_at_every_word_the_server_says_loses_and_repeats_nothing(rig: Rig) -> None:
    """Killed at the main thread's write 1, 2, 3 …: before, between and after commit, answer, message (fault 1)."""
    dialect = rig.database_url.partition(":")[0]
    await campaign(f"kill {dialect} speak", rig, "", SPEAK, sample=5)
