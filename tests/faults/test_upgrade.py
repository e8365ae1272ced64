"""Fault 51: from the previous version to this one, with deliveries on their way."""

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from app.db.migrate import migrate
from tests.factories import BOT_TABLES
from tests.faults.cluster import Cluster
from tests.faults.rig import Rig, interpreter, job, many, tell, until
from tests.ports import free_port
from tests.postgres import with_database
from tests.process.conftest import ROOT, Outside

pytestmark = pytest.mark.anyio

CLIENTS = 8


def git(*arguments: str) -> str:
    """Ask git about this checkout; empty where there is no git or no history."""
    program = shutil.which("git")
    if program is None:
        return ""
    asked = subprocess.run([program, "-C", str(ROOT), *arguments], check=False, capture_output=True, text=True)
    return asked.stdout.strip() if asked.returncode == 0 else ""


def previous_version() -> str:
    """Name the newest release, or else the last commit before the first one with unreleased news in the changelog."""
    if tag := git("describe", "--tags", "--abbrev=0", "--match", "v[0-9]*", "HEAD^"):
        return tag
    first_with_news = ""
    for commit in git("log", "--format=%H", "--", "CHANGELOG.md").split():
        news = git("show", f"{commit}:CHANGELOG.md").partition("## [Unreleased]")[2].partition("\n## [")[0]
        if not news.strip():
            break
        first_with_news = commit
    return git("rev-parse", "--verify", "--quiet", f"{first_with_news}^") if first_with_news else ""


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the previous version, with the environment that its own lock file names in .venv."""
    version = previous_version()
    if not version:
        pytest.skip("this checkout has no history to take the previous version from")
    tree = tmp_path_factory.mktemp("previous")
    archive = tree.with_suffix(".zip")  # unpacked alike by every Python; a tar wants a filter that 3.11.2 has not
    git("archive", f"--output={archive}", version)
    shutil.unpack_archive(archive, tree)
    made = subprocess.run(
        [sys.executable, "-m", "uv", "sync", "--quiet", "--frozen", "--no-dev", "--python", sys.executable],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(ROOT / ".tools"), "UV_PROJECT_ENVIRONMENT": str(tree / ".venv")},  # noqa: TID251  passed on
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no environment for the previous version: {made.stderr[-200:]}")
    sys.stdout.write(f"\n[upgrade] from {version}\n")
    return tree


def migrate_with(tree: Path, database_url: str) -> None:
    """Run the migration command of that version."""
    subprocess.run(
        [interpreter(tree), "-m", "app.cli", "migrate"],
        cwd=tree,
        env={"PATH": os.defpath, "PYTHONPATH": str(tree), "DATABASE_URL": database_url},
        check=True,
        capture_output=True,
    )


@pytest.fixture
async def old_postgres(cluster: Cluster, previous: Path, outside: Outside, tmp_path: Path) -> AsyncIterator[Rig]:
    """A database as the previous version made it."""
    cluster.resume()
    name = f"upgrade_{tmp_path.name}".replace("-", "_").lower()[:60]
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    url = with_database(cluster.url("postgres"), name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BOT_TABLES)
    migrate_with(previous, url)
    rig = Rig(tmp_path / "server", url, outside)
    rig.watch()
    yield rig
    await rig.close()


@asynccontextmanager
async def load(rig: Rig, jobs: int, *ports: int) -> AsyncIterator[None]:
    """Deliveries to each port in turn until the block ends; whoever gets no 200 comes again, as fal does."""
    numbers = itertools.count()
    enough = asyncio.Event()
    rig.train([job(number)[0] for number in range(jobs)])

    async def client(port: int) -> None:
        async with rig.sender(speed=60, port=port) as fal:
            while not enough.is_set() and (number := next(numbers)) < jobs:
                await fal.deliver(*job(number))
                await asyncio.sleep(0.02)

    clients = [asyncio.create_task(client(ports[number % len(ports)])) for number in range(CLIENTS)]
    try:
        yield
    finally:
        enough.set()
        await asyncio.gather(*clients)


async def test_two_replicas_are_upgraded_one_after_the_other(old_postgres: Rig, previous: Path) -> None:
    """The migration runs beside the old version, old and new work together, nobody hears twice (fault 51)."""
    rig, jobs = old_postgres, many(2000, 300)
    left, right = rig.port, free_port()
    rig.root = previous
    servers = {port: await rig.start(port=port) for port in (left, right)}
    async with load(rig, jobs, left, right):
        await until(lambda: rig.count("webhook_deliveries") > 20, 20)
        migrate(rig.database_url)
        seen = rig.count("webhook_deliveries")
        await until(lambda: rig.count("webhook_deliveries") > seen + 10, 20)
        rig.root = ROOT
        for port, server in servers.items():
            assert await server.stop() == 0
            await rig.start(port=port)
            await until(lambda: rig.count("webhook_notifications", "state = 'sent'") > seen, 30)
    await rig.settled()
    figures = rig.check()
    ends = Counter(str(attempt.status or attempt.error) for record in rig.records for attempt in record.attempts)
    tell("upgrade of two replicas", ends=dict(ends), figures=figures)
    assert figures.applied == figures.messages == figures.acknowledged


async def test_the_old_version_comes_back_on_the_new_schema(old_postgres: Rig, previous: Path) -> None:
    """A roll-back needs no migration back: what was added is not in the old version's way (fault 51)."""
    migrate(old_postgres.database_url)
    new = await old_postgres.start()
    async with load(old_postgres, 40, old_postgres.port):
        await until(lambda: old_postgres.count("webhook_deliveries") > 10, 20)
    assert await new.stop() == 0
    old_postgres.root = previous
    if "version < HEAD" not in (previous / "app" / "db" / "schema.py").read_text():
        pytest.skip("the previous version refuses every schema but its own")
    await old_postgres.start()
    await old_postgres.settled()
    old_postgres.check()


async def test_sqlite_is_upgraded_by_a_restart(previous: Path, outside: Outside, tmp_path: Path) -> None:
    """Stopped with work in hand, started as the new version: migrated, finished, nothing told twice (fault 51)."""
    url = f"sqlite:///{tmp_path}/aisha.db"
    migrate_with(previous, url)
    rig = Rig(tmp_path / "server", url, outside, root=previous)
    rig.watch()
    server = await rig.start(TELEGRAM_RATE="5")  # so that messages wait when the stop comes
    try:
        async with load(rig, 60, rig.port):
            await until(lambda: rig.count("webhook_deliveries") == 60, 20)
        assert await server.stop() == 0
        waiting = rig.count("webhook_notifications", "state = 'pending'")
        rig.root = ROOT
        await rig.start()
        await rig.settled()
    finally:
        await rig.close()
    figures = rig.check()
    tell("upgrade of SQLite", waiting_at_the_stop=waiting, figures=figures)
    assert waiting
    assert figures.applied == figures.messages == 60
