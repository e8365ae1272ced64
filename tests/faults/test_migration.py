"""Fault 51: a migration that is killed at any step, from an empty database and from each earlier revision.

What must hold afterwards: the bot's tables are as they were, the schema is that of one revision and not half of the
next, and migrating again brings it to the newest. Released code goes on working while replicas are exchanged
only if a migration adds and takes nothing away, so that is read off the schema as well.
"""

import sqlite3
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from app.db.migrate import ROOT, migrate
from app.db.tables import VERSION_TABLE, metadata
from app.db.url import parse_url
from tests.factories import BOT_TABLES, NEW_AVATAR
from tests.faults.cluster import Cluster
from tests.faults.copies import Copies, Databases, Files
from tests.faults.forks import Forks, open_forks
from tests.faults.rig import FULL, full_only, tell, until
from tests.faults.tracing import STORE, needs_strace

MOST = 400  # system calls of one migration; it is far fewer, and a loop must end
BOT = ("users", "avatars")
SQLITE_BOT_TABLES = (
    BOT_TABLES.replace("now()", "CURRENT_TIMESTAMP").replace("uuid", "varchar(36)").replace("timestamptz", "timestamp")
)
CHANGE = (*STORE.split(","), "/^unlink")  # strace counts each of them by itself
KILLED = -9
SAMPLE = 12  # the one system call at which the bounded form kills
Schema = Mapping[str, Mapping[str, str]]


def revisions() -> list[str]:
    """Every revision, the oldest first."""
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    return [script.revision for script in scripts.walk_revisions()][::-1]


*STARTS, HEAD = ["empty", *revisions()]  # what a database may be at before the newest


def upgrade(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["database_url"] = url
    command.upgrade(config, revision)


@dataclass(frozen=True, slots=True)
class State:
    """What stands in a database: which revision, its tables, the bot's rows."""

    revision: str
    shape: Schema
    bot: list[dict[str, Any]]

    @property
    def ours(self) -> Schema:
        return {t: columns for t, columns in self.shape.items() if t not in BOT and t != VERSION_TABLE}


def look(url: str) -> State:
    """Read it. A table is its columns, each as its type, nullability and default; its indexes count as columns."""
    engine = create_engine(parse_url(url), poolclass=NullPool)
    with engine.connect() as connection:
        seen = inspect(connection)
        indexes = seen.get_multi_indexes()
        shape = {
            key[1]: {
                **{c["name"]: f"{c['type']} {c['nullable']} {c['default']}" for c in columns},
                **{f"index {i['name']}": f"{i['column_names']} {i['unique']}" for i in indexes[key]},
            }
            for key, columns in seen.get_multi_columns().items()
        }

        def found(statement: str) -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(text(statement)).mappings()]

        versions = found(f"SELECT version_num FROM {VERSION_TABLE}") if VERSION_TABLE in shape else []
        bot = [row for table in BOT for row in found(f"SELECT * FROM {table} ORDER BY id")]
    return State(str(versions[0]["version_num"]) if versions else "empty", shape, bot)


def with_bot(url: str, start: str) -> State:
    """Make the bot's tables with a row in each, and ours as `start` has them."""
    owner, avatar = str(uuid.UUID(int=1)), str(uuid.UUID(int=2))
    values = (avatar, owner, "Айша", "portrait", "training", "r1")
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as file, file:
            file.executescript(SQLITE_BOT_TABLES)
            file.execute("INSERT INTO users (id, telegram_id) VALUES (?, '7')", [owner])
            file.execute(NEW_AVATAR, values)
    else:
        with psycopg.connect(url) as connection:
            connection.execute(BOT_TABLES)
            connection.execute("INSERT INTO users (id, telegram_id) VALUES (%s, '7')", [owner])
            connection.execute(NEW_AVATAR.replace("?", "%s"), values)
    if start != "empty":
        upgrade(url, start)
    return look(url)


def check_half_way(url: str, before: State, newest: State) -> str:
    """After a kill: the bot's rows and columns are there, and ours are all of one revision; return which."""
    now = look(url)
    assert now.bot == before.bot
    assert now.ours == (newest if now.revision == HEAD else before).ours
    assert now.revision in (before.revision, HEAD)
    for table in BOT:
        assert before.shape[table].items() <= now.shape[table].items()
    return now.revision


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """One loop for the module, because one process forks for it."""
    return "asyncio"


@pytest.fixture(scope="module")
async def forks() -> AsyncIterator[Forks]:
    async with open_forks() as forks:
        yield forks


@pytest.fixture(params=["sqlite", "postgresql"])
def copies(request: pytest.FixtureRequest) -> Copies:
    """Each test that asks for it runs on both databases."""
    found: Copies = request.getfixturevalue("files" if request.param == "sqlite" else "databases")
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("migrations"))


@pytest.fixture(scope="module")
def databases(cluster: Cluster) -> Iterator[Databases]:
    """Their server does not wait for its disk, which takes longer than a kill: only its clients are killed here."""
    cluster.resume()
    url = cluster.url("postgres")
    with psycopg.connect(url, autocommit=True) as connection:
        set_fsync(connection, "off")
        yield Databases(url, connection)
        set_fsync(connection, "on")


def set_fsync(connection: psycopg.Connection, value: str) -> None:
    connection.execute(f"ALTER SYSTEM SET fsync = {value}")
    connection.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize("start", STARTS)
def test_every_revision_reaches_the_newest_and_only_adds(copies: Copies, start: str) -> None:
    """No table or column goes or changes, no new column must be filled: the released code still works (fault 51)."""
    url = copies.new()
    before = with_bot(url, start)
    migrate(url)
    now = look(url)
    assert now.revision == HEAD
    assert now.bot == before.bot
    assert set(metadata.tables) <= set(now.shape)
    for table, columns in before.shape.items():
        assert columns.items() <= now.shape[table].items(), table
        added = {name: kind for name, kind in now.shape[table].items() if name not in columns}
        unfilled = [n for n, kind in added.items() if not n.startswith("index ") and kind.endswith("False None")]
        assert unfilled == [], f"{table}: the released code does not know these and cannot fill them"
    copies.drop(url)


@needs_strace
@pytest.mark.anyio
@pytest.mark.parametrize("start", STARTS)
async def test_a_migration_killed_at_every_write_to_the_file_starts_again(
    start: str, files: Files, forks: Forks
) -> None:
    """SQLite: killed at pwrite64 number 1, 2, 3 …, at fdatasync, unlink; the next run succeeds (fault 51)."""
    await campaign("sqlite", start, files, forks, *CHANGE)


@full_only
@needs_strace
@pytest.mark.anyio
@pytest.mark.parametrize("start", STARTS)
async def test_a_migration_killed_at_every_word_to_postgresql_starts_again(
    start: str, databases: Databases, forks: Forks
) -> None:
    """PostgreSQL: killed at sendto number 1, 2, 3 …, which are its statements; the next run succeeds (fault 51)."""
    await campaign("postgresql", start, databases, forks, "sendto")


async def campaign(name: str, start: str, copies: Copies, forks: Forks, *calls: str) -> None:
    """Kill migrations of one start, one system call further each time, until one survives; bounded: one kill."""
    origin = copies.new()
    before, begun, left, survived = with_bot(origin, start), time.monotonic(), list[str](), False
    whole = copies.copy(origin)
    migrate(whole)
    newest = look(whole)
    for call in calls if FULL else calls[:1]:
        for when in range(1, MOST + 1) if FULL else [SAMPLE]:
            url = copies.copy(origin)
            survived = not await killed(url, copies, forks, call, when)
            if not survived:
                left.append(check_half_way(url, before, newest))
                migrate(url)
            assert check_half_way(url, before, newest) == HEAD
            copies.drop(url)
            if survived:
                break
        assert survived is FULL
    seconds = round(time.monotonic() - begun)
    tell(f"kill migration {name} from {start}", kills=len(left), left_at=sorted(set(left)), seconds=seconds)
    assert left


async def killed(url: str, copies: Copies, forks: Forks, call: str, when: int) -> bool:
    """Migrate and kill it at system call number `when` of that name; tell whether it came so far."""
    code = await forks.migrate(url, "-e", f"trace={call}", "-e", f"inject={call}:signal=SIGKILL:when={when}")
    assert code in (0, KILLED)
    # PostgreSQL has noticed that the client is gone: nothing changes any more.
    await until(lambda: not copies.in_use(url), 20, every=0.01)
    return code == KILLED
