"""`aisha-webhook reconcile`: fal is asked by hand, beside a server that applies what is found."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner, Result

from app.cli import reconcile as command
from app.cli.main import app
from app.core.clock import SystemClock
from app.db.engine import Database
from app.db.tables import deliveries, jobs
from app.flows import reconcile as flow
from app.twins import bodies
from app.twins.fal import FalTwin
from app.twins.fal_queue import FalJob
from tests.factories import Bot
from tests.job_facts import add_job

pytestmark = pytest.mark.anyio

Call = Callable[..., Awaitable[Result]]
READY, FAILED, WORKS = (bodies.job_id(number) for number in (1, 2, 3))


@pytest.fixture
async def fal() -> FalTwin:
    return FalTwin()


@pytest.fixture
async def call(sqlite_url: str, fal: FalTwin, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Call]:
    """Run the command in a thread, as another process would, while fal's twin answers here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("FAL_API_KEY", "id:secret")
    async with fal.serve() as url:
        monkeypatch.setenv("FAL_QUEUE_URL", url)
        monkeypatch.setenv("FAL_API_URL", url)

        async def run(*words: str) -> Result:
            return await asyncio.to_thread(CliRunner().invoke, app, ["reconcile", *words])

        yield run


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("sqlite_url"))


@pytest.fixture
async def three(bot: Bot, fal: FalTwin) -> None:
    """Trainings that were done, failed and are at work, all unknown to this server until now."""
    await bot.train_many([READY, FAILED, WORKS])
    fal.succeed(READY)
    fal.fail(FAILED)
    fal.jobs[WORKS] = FalJob("IN_PROGRESS")


def entered(database: Database) -> list[tuple[str, str, str]]:
    with database.engine.connect().execution_options(write=False) as connection:
        columns = (deliveries.c.request_id, deliveries.c.source, deliveries.c.state)
        return [tuple(row) for row in connection.execute(select(*columns).order_by("id"))]


def found(result: Result) -> dict[str, Any]:
    return {row["request_id"]: row["found"] for row in json.loads(result.stdout)}


@pytest.mark.usefixtures("three")
async def test_what_fal_says_enters_the_inbox_and_is_applied_by_nobody_here(
    call: Call, database: Database, bot: Bot
) -> None:
    """Results are fetched at once, without the webhook's grace; rows of the bot's stay; exit 1: one stays open."""
    result = await call("--json")
    assert (result.exit_code, found(result)) == (1, {READY: "result", FAILED: "result", WORKS: "open"})
    assert sorted(entered(database)) == sorted([(READY, "reconcile", "pending"), (FAILED, "reconcile", "pending")])
    with database.engine.connect().execution_options(write=False) as connection:
        words = connection.exec_driver_sql("SELECT DISTINCT status FROM avatars").scalars().all()
    assert words == ["training"]


@pytest.mark.usefixtures("three")
async def test_what_is_found_is_a_table(call: Call) -> None:
    """A row for each job; the same again finds only what is still open, because the rest waits to be applied."""
    lines = (await call()).stdout.splitlines()
    assert lines[0].split() == list(command.COLUMNS)
    assert sorted(line.split()[:3] for line in lines[1:]) == sorted(
        [[READY, "result", "finished"], [FAILED, "result", "finished"], [WORKS, "open", "at_work"]]
    )
    again = found(await call("--json"))
    assert again == {READY: "unknown", FAILED: "unknown", WORKS: "open"}


async def test_nothing_open_is_well(call: Call) -> None:
    """Exit 0 and a sentence; so are jobs that all ended."""
    result = await call()
    assert (result.exit_code, result.stdout) == (0, "открытых задач нет\n")


@pytest.mark.usefixtures("three")
async def test_a_job_may_be_named(call: Call, database: Database, fal: FalTwin) -> None:
    """Only that one is asked about, whenever it is due; exit 0 once fal has told its end."""
    assert (await call(READY)).exit_code == 0
    assert entered(database) == [(READY, "reconcile", "pending")]
    assert fal.asked(WORKS) == {}


async def test_a_job_of_a_time_before_this_server_may_be_named(
    call: Call, database: Database, bot: Bot, fal: FalTwin
) -> None:
    """Historic jobs are asked about by name, and by nothing else."""
    await bot.train(READY)
    fal.succeed(READY)
    add_job(database, READY, state="historic", endpoint="fal-ai/flux-lora-portrait-trainer")
    assert found(await call("--json")) == {}
    assert found(await call(READY, "--json")) == {READY: "result"}


async def test_an_unknown_id_is_said(call: Call, fal: FalTwin) -> None:
    """Exit 1, with the command that tells its story; fal is not asked."""
    result = await call("r9")
    assert (result.exit_code, "aisha-webhook why r9" in result.stdout) == (1, True)
    assert fal.calls == []


@pytest.mark.usefixtures("three")
async def test_only_the_young_may_be_asked_about(call: Call, database: Database, fal: FalTwin) -> None:
    """--since takes those first seen within it."""
    await call()
    fal.calls.clear()
    old = SystemClock().now() - timedelta(hours=25)
    with database.engine.begin() as transaction:
        transaction.execute(update(jobs).where(jobs.c.request_id == WORKS).values(first_seen_at=old))
        transaction.execute(deliveries.delete())
    assert set(found(await call("--since", "24h", "--json"))) == {READY, FAILED}
    assert set(found(await call("--since", "2d", "--json"))) == {WORKS, READY, FAILED}
    assert (await call("--since", "soon")).exit_code == 2


@pytest.mark.usefixtures("three")
async def test_without_a_key_everything_stays_open(call: Call, monkeypatch: pytest.MonkeyPatch, fal: FalTwin) -> None:
    """The table says what to set, nothing enters the inbox."""
    monkeypatch.delenv("FAL_API_KEY")
    result = await call("--json")
    assert (result.exit_code, set(found(result).values())) == (1, {"open"})
    assert {"FAL_API_KEY" in row["why"] for row in json.loads(result.stdout)} == {True}
    assert fal.calls == []


async def test_a_hand_spends_the_budget_that_the_server_spends(
    call: Call, bot: Bot, fal: FalTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many jobs are open: after two seconds' worth the rest waits its turn."""
    monkeypatch.setattr(command, "PAUSE", 0.01)
    monkeypatch.setattr(flow, "RATE", 20.0)
    ids = [bodies.job_id(number) for number in range(50)]
    await bot.train_many(ids)
    fal.jobs |= {request_id: FalJob("IN_PROGRESS") for request_id in ids}
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert len(found(await call("--json"))) == len(ids)
    assert loop.time() - began >= (len(ids) - 2 * 20) / 20
