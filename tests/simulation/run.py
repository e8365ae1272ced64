"""Runs one world from its plan to its end, in this process."""

import asyncio
import gc
import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulation import seams, virtual_loop
from tests.simulation.chance import stream
from tests.simulation.checks import Violation
from tests.simulation.plan import DAY, Plan
from tests.simulation.virtual_loop import SimulatedLoop
from tests.simulation.world import World

SHM = Path("/dev/shm")  # a disk in memory: nothing here survives the process anyway


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a run."""

    plan: Plan
    digest: str
    lines: int
    violation: Violation | None
    at: float  # days
    trainings: int
    told: int
    commits: int
    posts: int
    crashes: int
    looks: int
    starts: int
    seconds: float
    counts: tuple[tuple[str, int], ...] = ()
    story: tuple[str, ...] = ()
    last: tuple[str, ...] = ()


def run(plan: Plan, *, log_path: Path | None = None, template: Path | None = None) -> Report:
    """Run a plan; the report of a run that failed tells the story of the request that it failed at."""
    began = time.process_time()
    gc.collect()
    gc.freeze()  # what is imported stays; the rest is young
    gc.set_threshold(50_000, 20, 20)
    with (
        _database(plan) as url,
        _loop(plan) as loop,
        tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as folder,
    ):
        world = World(plan, Path(folder), loop, log_path, template, url=url)
        seams.install(world)
        loop.run_until_complete(world.run())
        story = _story(loop, world)
        report = Report(
            plan,
            world.ledger.digest(),
            world.ledger.lines,
            world.violation,
            loop.time() / DAY,
            len(world.courses),
            sum(world.telegram.seen.values()),
            world.storage.commits,
            world.sender.posts,
            world.crashes,
            world.checker.looks,
            sum(server.starts for server in world.servers),
            time.process_time() - began,
            tuple(world.storage.counts.most_common()),
            tuple(story),
            tuple(world.ledger.last)[-40:] if world.violation is not None else (),
        )
        world.ledger.close()
        if world.error is not None:
            raise world.error
        return report


@contextmanager
def _database(plan: Plan) -> Iterator[str]:
    """Make the database of a run where it is not a file in its folder."""
    if plan.server is None:
        yield ""
        return
    from tests.simulation.postgres import fresh  # noqa: PLC0415  SQLite need not pay for its driver

    with fresh(plan.server, f"simulation_{os.getpid()}") as url:
        yield url


@contextmanager
def _loop(plan: Plan) -> Iterator[SimulatedLoop]:
    virtual_loop._numbers = itertools.count()
    loop = SimulatedLoop(stream(plan.seed, "order"))
    asyncio.set_event_loop(loop)
    try:
        yield loop
    finally:
        for task in sorted(asyncio.all_tasks(loop), key=lambda task: task.number):  # type: ignore[attr-defined]  # all are ours
            task.cancel()
        asyncio.set_event_loop(None)
        loop._scheduled.clear()
        loop._ready.clear()
        loop.close()


def _story(loop: SimulatedLoop, world: Any) -> list[str]:
    if world.violation is None or not world.violation.request_id:
        return []
    from app.cli.why import lines  # noqa: PLC0415  needed for a failure only
    from tests.simulation.watchman import tell  # noqa: PLC0415  as above

    return list(lines(loop.run_until_complete(tell(world, world.violation.request_id)), "en"))
