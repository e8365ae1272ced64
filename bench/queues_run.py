"""One measurement in a process of its own: `python -m bench.queues_run DESIGN MEASURE URL MARKS AMOUNT EXECUTOR`.

DESIGN is the position in queues_contenders.DESIGNS. The result is one line of JSON.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import sys
import time
from pathlib import Path

from bench.queues_contenders import DESIGNS, Contender, Marks

CONCURRENCY = 64
LONG = 600.0  # s that the job lasts whose worker is killed
SPACING = (0.15, 0.35)  # s between single jobs
WITHIN = 120.0  # s that a drain may take


async def run(contender: Contender, measure: str, url: str, marks: Path, *, amount: int, executor: str) -> None:
    """Do one measurement and print it."""
    match measure:
        case "install":
            await contender.install(url)
            result: dict[str, object] = {}
        case "enqueue":
            result = await enqueue(contender, url, amount, executor)
        case "one":
            result = await one(contender, url, executor)
        case "drain":
            result = await drain(contender, url, amount, executor)
        case "latency":
            result = await latency(contender, url, amount, executor)
        case "hold":
            result = await hold(contender, url, marks, executor)
    sys.stdout.write(json.dumps(result) + "\n")
    sys.stdout.flush()
    os._exit(0)  # some of them keep threads that outlive their work


async def enqueue(contender: Contender, url: str, amount: int, executor: str) -> dict[str, object]:
    """Enqueue from 64 callers, each waiting for its own job to be durable."""

    await contender.open(url, executor, never)
    keys = iter([f"job-{number}" for number in range(amount)])
    await contender.enqueue("warm")

    async def caller() -> None:
        for key in keys:
            await contender.enqueue(key)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CONCURRENCY)))
    took = time.perf_counter() - began
    await contender.close()
    return {"per_second": amount / took}


async def one(contender: Contender, url: str, executor: str) -> dict[str, object]:
    """Enqueue a single job."""
    await contender.open(url, executor, never)
    await contender.enqueue("the-job")
    await contender.close()
    return {}


async def never(_: str) -> None:
    """Stand in where nothing is worked on."""


async def drain(contender: Contender, url: str, amount: int, executor: str) -> dict[str, object]:
    """Work through what is there already; from the first job's start to the last one's."""
    starts: list[float] = []
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def body(_: str) -> None:
        starts.append(time.perf_counter())
        if len(starts) >= amount:
            loop.call_soon_threadsafe(over.set)

    await contender.open(url, executor, body)
    working = asyncio.create_task(contender.work())
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), WITHIN)
    del working
    return {"per_second": (len(starts) - 1) / (starts[-1] - starts[0]), "jobs": len(starts)}


async def latency(contender: Contender, url: str, amount: int, executor: str) -> dict[str, object]:
    """One job at a time, enqueued by the process that works: from the call of enqueue to the job's start."""
    started: dict[str, float] = {}

    async def body(key: str) -> None:
        started.setdefault(key, time.perf_counter())

    await contender.open(url, executor, body)
    working = asyncio.create_task(contender.work())
    await asyncio.sleep(3)
    began = {}
    for number in range(amount):
        key = f"single-{number}"
        began[key] = time.perf_counter()
        await contender.enqueue(key)
        await asyncio.sleep(random.uniform(*SPACING))
    await asyncio.sleep(2)
    del working
    waits = sorted((started[key] - began[key]) * 1e3 for key in began if key in started)
    return {"p50": waits[len(waits) // 2], "p95": waits[int(len(waits) * 0.95)], "jobs": len(waits)}


async def hold(contender: Contender, url: str, marks: Path, executor: str) -> dict[str, object]:
    """Work until killed; every job lasts longer than anybody waits."""
    noted = Marks(marks)

    async def body(key: str) -> None:
        noted.add(f"{executor} {key}")
        await asyncio.sleep(LONG)

    await contender.open(url, executor, body)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.wait_for(contender.work(), LONG)
    return {}


def main() -> None:
    """Parse the arguments and run."""
    logging.basicConfig(level=logging.ERROR)
    design, measure, url, marks, amount, executor = sys.argv[1:]
    asyncio.run(run(DESIGNS[int(design)].make(), measure, url, Path(marks), amount=int(amount), executor=executor))


if __name__ == "__main__":
    main()
