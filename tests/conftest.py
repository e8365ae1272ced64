"""Databases for tests: a SQLite file, and a real PostgreSQL from the wheel (or TEST_DATABASE_URL)."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest

import app.core.logger  # noqa: F401  what is not configured is quiet then
from app.db.engine import Database, open_database
from app.db.migrate import migrate
from app.db.schema import find_bot_tables
from app.db.tables import metadata
from app.db.trainings import BotTables
from tests.factories import BOT_TABLES, Bot
from tests.fakes import FrozenClock
from tests.postgres import start_postgres


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in list(os.environ):  # noqa: TID251  a test of the environment must see it
        if name.startswith(("API_", "SSL_", "FAL_", "TELEGRAM_", "DATABASE_", "DEFAULT_", "LOG_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server's URL, without a database name's worth of promises: tests make their own databases in it."""
    given = os.environ.get("TEST_DATABASE_URL")  # noqa: TID251  a setting of the tests, not of the server
    if given:
        yield given
        return
    with start_postgres() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_shared(postgres: str) -> str:
    """A database with the bot's tables and ours; making one for each test would take most of the suite's time."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = with_database(postgres, name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(BOT_TABLES)
    migrate(url)
    return url


@pytest.fixture
def postgres_url(postgres_shared: str) -> str:
    """A PostgreSQL database that is ready to work on, and empty."""
    with psycopg.connect(postgres_shared, autocommit=True) as connection:
        connection.execute(f"TRUNCATE users, avatars, {', '.join(metadata.tables)} RESTART IDENTITY")
    return postgres_shared


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """A fresh SQLite file that is ready to work on."""
    path = tmp_path / "aisha.db"
    path.write_bytes(sqlite_template.read_bytes())
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each test that asks for it runs on both databases."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = open_database(database_url)
    yield database
    await database.close()


@pytest.fixture
async def bot_tables(database: Database) -> BotTables:
    return await find_bot_tables(database)


@pytest.fixture
def bot(database: Database) -> Bot:
    """The bot's side of the database: makes owners and avatars, looks at what became of them."""
    return Bot(database)


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


def with_database(url: str, name: str) -> str:
    """Spell the URL of another database on the same server."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
