"""Faults. `make test` runs a bounded form of them, `make faults` all."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

from app.db.migrate import migrate
from app.twins.fal import FalTwin
from app.twins.telegram import TelegramTwin
from tests.factories import BOT_TABLES
from tests.faults.cluster import Cluster, start_cluster
from tests.faults.rig import Rig
from tests.postgres import with_database
from tests.process.conftest import Outside


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    fal, telegram = FalTwin(), TelegramTwin()
    async with fal.serve() as fal_url, telegram.serve() as telegram_url:
        yield Outside(fal, fal_url, telegram, telegram_url)


@pytest.fixture
async def sqlite_rig(sqlite_url: str, outside: Outside, tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path / "server", sqlite_url, outside)
    rig.watch()
    yield rig
    await rig.close()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL of our own that may be stopped, frozen and killed, and that waits for its disk."""
    with start_cluster() as cluster:
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE faults_template")
        url = cluster.url("faults_template")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(BOT_TABLES)
        migrate(url)
        yield cluster


@pytest.fixture
async def postgres_rig(cluster: Cluster, outside: Outside, tmp_path: Path) -> AsyncIterator[Rig]:
    cluster.resume()
    name = cluster.fresh_database()
    rig = Rig(tmp_path / "server", with_database(cluster.url("postgres"), name), outside)
    rig.watch()
    yield rig
    cluster.resume()
    await rig.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Each test that asks for it runs on both databases."""
    found: Rig = request.getfixturevalue("sqlite_rig" if request.param == "sqlite" else "postgres_rig")
    return found
