"""The real server and a CDN's twin: files that are there, late, missing, and a CDN that hangs."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select

from app.db.engine import Database
from app.db.tables import deliveries
from app.flows.artifacts import HOLD
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.cdn import DOWN, MISSING, MOVED, CdnOddity, CdnTwin
from app.twins.faults import Hang
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from tests.factories import Bot
from tests.process.conftest import Outside, ServerProcess, StartServer

pytestmark = pytest.mark.anyio

REQUIRED = {"ARTIFACT_CHECK": "require", "POLL_INTERVAL": "0.1"}
HEARD_WITHIN = 60  # s on a slow and busy machine
SLACK = 8.0  # s that the sends, two commits and the messages may take there


@asynccontextmanager
async def sending(server: ServerProcess, outside: Outside) -> AsyncIterator[FalSender]:
    async with FalSender(server.url + PATH, outside.fal.key, user_id=ACCOUNT, verify_tls=False) as fal:
        yield fal


def path_of(job: str) -> str:
    return str(bodies.portrait(job)["diffusers_lora_file"]["url"]).removeprefix("https://v3.fal.media")


def stored(database: Database) -> dict[str, Any]:
    with database.engine.connect().execution_options(write=False) as connection:
        return {row.request_id: row for row in connection.execute(select(deliveries))}


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(HEARD_WITHIN):
        while not holds():  # noqa: ASYNC110  another process makes it so
            await asyncio.sleep(0.05)


async def test_only_what_lies_at_the_cdn_is_told(
    database_url: str, database: Database, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """A file that is there is told, one that comes late when it is there, one that never comes never (fault 50)."""
    names = ("there", "head refused", "down", "late", "missing", "moved", "foreign")
    jobs = {name: bodies.job_id(number) for number, name in enumerate(names)}
    avatars = {name: await bot.train(job) for name, job in jobs.items()}
    cdn = CdnTwin()
    cdn.oddities[path_of(jobs["head refused"])] = CdnOddity.HEAD_REFUSED
    for name, fault in (("down", DOWN), ("late", MISSING), ("missing", MISSING), ("moved", MOVED)):
        cdn.faults[path_of(jobs[name])] = fault
    async with (
        cdn.serve() as cdn_url,
        start_server(database_url, cdn_url, **REQUIRED, RETRY_MAX_ATTEMPTS="3") as server,
        sending(server, outside) as fal,
    ):
        for name, job in jobs.items():
            body = bodies.success(job)
            await fal.post(job, body.replace(b"v3.fal.media", b"evil.example") if name == "foreign" else body)
        await outside.telegram.heard(2, within=HEARD_WITHIN)
        del cdn.faults[path_of(jobs["late"])]
        never = [jobs[name] for name in ("missing", "moved", "foreign")]
        await until(lambda: {stored(database)[job].state for job in never} == {"dead"})
        await outside.telegram.heard(4, within=HEARD_WITHIN)
    words = {name: (await bot.avatar(avatar))["word"] for name, avatar in avatars.items()}
    told = {"there", "head refused", "down", "late"}
    assert {name for name, word in words.items() if word == "completed"} == told
    assert len(outside.telegram.messages) == len(told)
    rows = stored(database)
    details = {name: rows[job].detail for name, job in jobs.items() if rows[job].reason == "artifact_absent"}
    assert details == {
        "missing": "v3.fal.media: http_404",
        "moved": "v3.fal.media: redirect",
        "foreign": "evil.example: foreign_host",
    }
    asked = {call.path for call in cdn.calls}
    assert asked == {path_of(job) for name, job in jobs.items() if name != "foreign"}


async def test_a_cdn_that_hangs_holds_up_neither_owners_nor_failures(
    database_url: str, database: Database, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """Forty successes are told within five seconds, and what comes meanwhile without a file at once."""
    jobs = [bodies.job_id(number) for number in range(41)]
    await bot.train_many(jobs)
    cdn = CdnTwin()
    cdn.fault = Hang()
    async with (
        cdn.serve() as cdn_url,
        start_server(database_url, cdn_url, **REQUIRED) as server,
        sending(server, outside) as fal,
    ):
        began = time.monotonic()
        await fal.deliver_all([(job, bodies.success(job)) for job in jobs[:-1]], at_once=20)
        await fal.post(jobs[-1], bodies.infra_failure(jobs[-1]))
        await outside.telegram.heard(1, within=HEARD_WITHIN)
        failed_after = time.monotonic() - began
        assert stored(database)[jobs[-1]].state == "done"
        await outside.telegram.heard(len(jobs), within=HEARD_WITHIN)
        told_after = time.monotonic() - began
    assert failed_after < HOLD
    assert told_after < HOLD + SLACK
    assert {row.reason for row in stored(database).values()} == {"completed", "failed"}


async def test_a_server_that_looks_at_files_stops_in_time(
    database_url: str, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """SIGTERM while the CDN hangs: 0 within ten seconds, and the delivery is still there to be applied (fault 51)."""
    job = bodies.job_id(1)
    await bot.train(job)
    cdn = CdnTwin()
    cdn.fault = Hang()
    async with (
        cdn.serve() as cdn_url,
        start_server(database_url, cdn_url, **REQUIRED) as server,
        sending(server, outside) as fal,
    ):
        await fal.post(job, bodies.success(job))
        await until(lambda: bool(cdn.calls))
        began = time.monotonic()
        assert await server.stop() == 0
        assert time.monotonic() - began < 10
    assert "delivery.applied" not in server.log()
