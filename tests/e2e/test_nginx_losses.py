"""What fal does not notice: replicas behind nginx are restarted, killed and frozen under load; no request fails."""

import asyncio
import itertools
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.twins.sender import Attempt, FalSender
from tests.e2e.nginx import Front, Replica, fal, needs_nginx, replicated
from tests.faults.rig import Rig, dice, job, many, tell, until

pytestmark = [pytest.mark.anyio, needs_nginx]

CLIENTS = 8
PAUSE = 0.03  # s between two deliveries of one client
LEASE = 15  # s, as the rig sets it


@dataclass
class Load:
    """Deliveries that keep coming, each tried exactly once: whatever fails, fails in front of the test."""

    jobs: int
    attempts: list[Attempt] = field(default_factory=list)

    def ends(self) -> Counter[str]:
        return Counter(str(attempt.status or attempt.error) for attempt in self.attempts)

    async def grows(self, by: int) -> None:
        """Wait until `by` more deliveries have been tried."""
        wanted = len(self.attempts) + by
        await until(lambda: len(self.attempts) >= wanted, 60, every=0.02)


@asynccontextmanager
async def loaded(rig: Rig, front: Front, jobs: int) -> AsyncIterator[Load]:
    """Deliver up to `jobs` different jobs until the block ends; every avatar is there already."""
    rig.train([job(number)[0] for number in range(jobs)])
    load, numbers, enough = Load(jobs), itertools.count(), asyncio.Event()

    async def client(sender: FalSender) -> None:
        while not enough.is_set() and (number := next(numbers)) < jobs:
            load.attempts.append(await sender.post(*job(number)))
            await asyncio.sleep(PAUSE)

    async with fal(rig, front) as sender:
        clients = [asyncio.create_task(client(sender)) for _ in range(CLIENTS)]
        try:
            yield load
        finally:
            enough.set()
            await asyncio.gather(*clients)


async def test_replicas_restarted_in_turn_fail_no_request(postgres_rig: Rig, tmp_path: Path) -> None:
    """SIGTERM, start, then the other: each delivery is answered 200 at the first try, applied, told once (fault 51)."""
    rounds = many(5, 2)
    async with replicated(postgres_rig, tmp_path) as front, loaded(postgres_rig, front, many(9000, 4000)) as load:
        await load.grows(50)
        for replica in front.replicas * rounds:
            assert await replica.server.stop() == 0
            await load.grows(20)
            await replica.start()
    await postgres_rig.settled()
    figures = postgres_rig.check()
    tell("restarted in turn", restarts=2 * rounds, ends=dict(load.ends()), figures=figures)
    assert set(load.ends()) == {"200"}
    assert len(load.attempts) < load.jobs, "the load ended before the restarts did"
    assert figures.applied == figures.messages == len(load.attempts)


async def test_a_killed_replica_fails_no_request(postgres_rig: Rig, tmp_path: Path) -> None:
    """kill -9 in mid-work: what it had not answered is asked of the other; fal sees nothing but 200 (fault 1)."""
    chance = dice("killed behind nginx")
    kills = many(6, 2)
    async with replicated(postgres_rig, tmp_path) as front, loaded(postgres_rig, front, many(9000, 4000)) as load:
        for replica in (front.replicas * kills)[:kills]:
            await load.grows(chance.randrange(30, 60))
            await _kill(replica)
            await load.grows(20)
            await replica.start()
    await postgres_rig.settled(LEASE + 30)
    figures = postgres_rig.check()
    tell("killed behind nginx", kills=kills, ends=dict(load.ends()), figures=figures)
    assert set(load.ends()) == {"200"}
    assert len(load.attempts) < load.jobs, "the load ended before the kills did"
    assert figures.applied == len(load.attempts)


async def test_a_frozen_replica_costs_time_and_no_request(postgres_rig: Rig, tmp_path: Path) -> None:
    """One replica takes requests and never answers: all are answered 200 by the other, within 10 s (I5)."""
    async with replicated(postgres_rig, tmp_path) as front:
        front.replicas[0].server.process.send_signal(signal.SIGSTOP)
        async with loaded(postgres_rig, front, 40) as load:
            begun = time.monotonic()
            await load.grows(40)
            took = time.monotonic() - begun
        front.replicas[0].server.process.send_signal(signal.SIGCONT)
        await postgres_rig.settled(LEASE + 30)
        figures = postgres_rig.check()
    tell("frozen behind nginx", seconds=round(took, 1), ends=dict(load.ends()), figures=figures)
    assert set(load.ends()) == {"200"}


async def test_without_replicas_the_answer_is_ours_and_heals_at_once(postgres_rig: Rig, tmp_path: Path) -> None:
    """With both gone: 503 in our own form with Retry-After, never 502; the first to return is asked at once (I5)."""
    postgres_rig.train([job(1)[0]])
    async with replicated(postgres_rig, tmp_path) as front:
        for replica in front.replicas:
            await replica.server.stop()
        async with fal(postgres_rig, front) as sender:
            gone = [await sender.post(*job(1)) for _ in range(10)]
            await front.replicas[1].start()
            back = [await sender.post(*job(1)) for _ in range(5)]
        await postgres_rig.settled()
        postgres_rig.check()
    assert {attempt.status for attempt in gone} == {503}
    assert all(b'"code":"no_replica"' in attempt.answer for attempt in gone)
    assert {attempt.status for attempt in back} == {200}


async def _kill(replica: Replica) -> None:
    replica.rig.crashes += 100  # each message under way may have been accepted unheard
    await replica.server.stop(signal.SIGKILL)
