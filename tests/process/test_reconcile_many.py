"""What a thousand jobs at work cost, and that a hung fal costs a webhook nothing: ASKING=1, some six minutes.

The figures stand in docs/reconcile.md; they are of a quiet machine.
"""

import asyncio
import os
import time
from collections import Counter
from pathlib import Path

import pytest

from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.fal_queue import FalJob
from app.twins.faults import Hang
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from tests.factories import Bot
from tests.process.conftest import Outside, ServerProcess, StartServer

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif("ASKING" not in os.environ, reason="ASKING=1 runs it"),  # noqa: TID251  of the tests
]

JOBS = 1_000
POSTS = 400
MINUTE = 60.0
TICK = os.sysconf("SC_CLK_TCK")


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("sqlite_url"))


def cpu_seconds(server: ServerProcess) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


async def rest(server: ServerProcess) -> float:
    """Leave the server alone for a minute; return its share of a core, in percent."""
    before, began = cpu_seconds(server), time.monotonic()
    await asyncio.sleep(MINUTE)
    return (cpu_seconds(server) - before) / (time.monotonic() - began) * 100


async def post(server: ServerProcess, outside: Outside, bot: Bot, first: int) -> tuple[float, float]:
    """Send webhooks one after the other; return p50 and p99 in ms."""
    ids = [bodies.job_id(number) for number in range(first, first + POSTS)]
    for number, request_id in enumerate(ids):
        await bot.train(request_id, telegram_id=str(10**8 + first + number))
    taken = []
    async with FalSender(server.url + PATH, outside.fal.key, user_id=ACCOUNT, verify_tls=False) as fal:
        for request_id in ids:
            began = time.monotonic()
            assert (await fal.post(request_id, bodies.success(request_id))).status == 200
            taken.append((time.monotonic() - began) * 1e3)
    taken.sort()
    return taken[len(taken) // 2], taken[int(len(taken) * 0.99)]


async def test_a_thousand_jobs_cost_little_and_a_hung_fal_nothing(
    database_url: str, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """At most one question a minute about each, two percent of a core, and the same answers to webhooks (fault 57)."""
    shares: dict[str, float] = {}
    latencies: dict[str, tuple[float, float]] = {}
    asked: dict[str, Counter[str | None]] = {}
    ids = [bodies.job_id(number) for number in range(JOBS)]
    for number, mode in enumerate(("nothing", "answers", "hangs")):
        if mode == "answers":
            await bot.train_many(ids)
            outside.fal.jobs |= {request_id: FalJob("IN_PROGRESS") for request_id in ids}
        outside.fal.queue_fault = Hang() if mode == "hangs" else None
        async with start_server(database_url, RECONCILE_AFTER="1", RECONCILE_EVERY="60") as server:
            await asyncio.sleep(MINUTE if mode == "answers" else 10)  # until each was asked about, 25 a second
            outside.fal.calls.clear()
            shares[mode] = await rest(server)
            asked[mode] = Counter(call.request_id for call in outside.fal.calls if call.name in ("status", "result"))
            latencies[mode] = await post(server, outside, bot, 10_000 * (number + 1))
        most = max(asked[mode].values(), default=0)
        figures = f"{shares[mode]:.2f} %, {sum(asked[mode].values())} questions, at most {most} of one"
        p50, p99 = latencies[mode]
        print(f"{mode}: {figures}; webhooks {p50:.1f} / {p99:.1f} ms")  # noqa: T201  for docs/reconcile.md
    assert max(asked["answers"].values()) == 1
    assert len(asked["answers"]) > JOBS * 0.8
    assert shares["answers"] - shares["nothing"] <= 2.0
    assert latencies["hangs"][1] <= latencies["answers"][1] * 1.5 + 5
