"""Fault 51: a migration that is killed at any step, from an empty database and from each earlier revision.

What must hold afterwards: the bot's tables are as they were, the schema is that of one revision and not half of the
next, and migrating again brings it to the newest. Released code goes on working while replicas are exchanged
only if a migration adds and takes nothing away, so that is read off the schema as well.
"""

import asyncio
import os
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from app.db.migrate import ROOT, head, migrate
from app.db.tables import VERSION_TABLE, metadata
from app.db.url import parse_url
from tests.factories import BOT_TABLES, NEW_AVATAR
from tests.faults.cluster import Cluster
from tests.faults.rig import FULL, full_only, tell, until
from tests.faults.tracing import STORE, needs_strace, traced
from tests.postgres import with_database
from tests.process.invariants import rows

MOST = 400  # system calls of one migration; it is far fewer, and a loop must end
BOT = ("users", "avatars")
SQLITE_BOT_TABLES = (
    BOT_TABLES.replace("now()", "CURRENT_TIMESTAMP").replace("uuid", "varchar(36)").replace("timestamptz", "timestamp")
)
KILLED = -9
Schema = Mapping[str, Mapping[str, str]]


def revisions() -> list[str]:
    """Every revision, the oldest first."""
    scripts = ScriptDirectory(str(ROOT / "migrations"))
    return [script.revision for script in scripts.walk_revisions()][::-1]


STARTS = ["empty", *revisions()[:-1]]  # what a database may be at before the newest


def upgrade(url: str, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["database_url"] = url
    command.upgrade(config, revision)


async def killed_migration(url: str, *options: str) -> int:
    """Migrate in a process of its own that strace may kill; return its exit code. What comes before does not count."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys; from app.db.migrate import migrate; print(flush=True); migrate(sys.stdin.readline().strip())",
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    async with asyncio.timeout(60):
        await process.stdout.readline()
        async with traced(process.pid, "-f", *options):
            process.stdin.write(f"{url}\n".encode())  # not an argument: it holds a password
            process.stdin.close()
            return await process.wait()


def schema(url: str) -> Schema:
    """Columns by table, each as its type, nullability and default; the indexes of a table count as columns of it."""
    engine = create_engine(parse_url(url), poolclass=NullPool)
    try:
        with engine.connect() as connection:
            seen = inspect(connection)
            return {
                table: {
                    **{c["name"]: f"{c['type']} {c['nullable']} {c['default']}" for c in seen.get_columns(table)},
                    **{f"index {i['name']}": f"{i['column_names']} {i['unique']}" for i in seen.get_indexes(table)},
                }
                for table in seen.get_table_names()
            }
    finally:
        engine.dispose()


def at(url: str) -> str:
    if VERSION_TABLE not in schema(url):
        return "empty"
    found = rows(url, f"SELECT version_num FROM {VERSION_TABLE}")
    return str(found[0]["version_num"]) if found else "empty"


@dataclass(frozen=True, slots=True)
class Before:
    """A database in which a bot lives, at one of STARTS, and how to have it again."""

    url: str
    shape: Schema
    bot: list[dict[str, Any]]


def with_bot(url: str, start: str) -> Before:
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
    return Before(url, schema(url), bot_rows(url))


def bot_rows(url: str) -> list[dict[str, Any]]:
    return [row for table in BOT for row in rows(url, f"SELECT * FROM {table} ORDER BY id")]


def check_half_way(before: Before, start: str, newest: Schema) -> str:
    """After a kill: the bot's rows and columns are there, and ours are all of one revision; return which."""
    now = schema(before.url)
    revision = at(before.url)
    assert bot_rows(before.url) == before.bot
    ours = {table: columns for table, columns in now.items() if table not in BOT and table != VERSION_TABLE}
    expected = newest if revision == head() else before.shape
    assert ours == {t: c for t, c in expected.items() if t not in BOT and t != VERSION_TABLE}
    assert revision in (start, head())
    for table in BOT:
        assert before.shape[table].items() <= now[table].items()
    return revision


def new_database(cluster: Cluster) -> str:
    cluster.resume()
    name = f"migration_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return with_database(cluster.url("postgres"), name)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/aisha.db"
    return new_database(request.getfixturevalue("cluster"))


@pytest.mark.parametrize("start", STARTS)
def test_every_revision_reaches_the_newest_and_only_adds(empty_url: str, start: str) -> None:
    """No table or column goes or changes, no new column must be filled: the released code still works (fault 51)."""
    before = with_bot(empty_url, start)
    migrate(before.url)
    now = schema(before.url)
    assert at(before.url) == head()
    assert bot_rows(before.url) == before.bot
    assert set(metadata.tables) <= set(now)
    for table, columns in before.shape.items():
        assert columns.items() <= now[table].items(), table
        added = {name: kind for name, kind in now[table].items() if name not in columns}
        unfilled = [n for n, kind in added.items() if not n.startswith("index ") and kind.endswith("False None")]
        assert unfilled == [], f"{table}: the released code does not know these and cannot fill them"


@needs_strace
@pytest.mark.anyio
@pytest.mark.parametrize("start", STARTS)
async def test_a_migration_killed_at_every_write_to_the_file_starts_again(start: str, tmp_path: Path) -> None:
    """SQLite: killed at pwrite64, fdatasync number 1, 2, 3 …; the next run succeeds, the bot's rows stay (fault 51)."""

    def fresh() -> str:
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        return f"sqlite:///{folder}/aisha.db"

    await campaign("sqlite", start, fresh, STORE, sample=12)


@full_only
@needs_strace
@pytest.mark.anyio
@pytest.mark.parametrize("start", STARTS)
async def test_a_migration_killed_at_every_word_to_postgresql_starts_again(start: str, cluster: Cluster) -> None:
    """PostgreSQL: killed at sendto number 1, 2, 3 …, which are its statements; the next run succeeds (fault 51)."""
    await campaign("postgresql", start, lambda: new_database(cluster), "sendto", sample=12)


async def campaign(name: str, start: str, fresh: Callable[[], str], calls: str, *, sample: int) -> None:
    """Kill migrations of one start, one system call further each time, until one survives; bounded: one kill."""
    whole = with_bot(fresh(), start)
    migrate(whole.url)
    newest, left, code, begun = schema(whole.url), list[str](), KILLED, time.monotonic()
    for when in range(1, MOST + 1) if FULL else [sample]:
        before = with_bot(fresh(), start)
        inject = f"inject={calls}:signal=SIGKILL:when={when}"
        code = await killed_migration(before.url, "-e", f"trace={calls}", "-e", inject)
        if code == 0:
            break
        assert code == KILLED
        await forgotten(before.url)
        left.append(check_half_way(before, start, newest))
        migrate(before.url)
        assert check_half_way(before, start, newest) == head()
    seconds = round(time.monotonic() - begun)
    tell(f"kill migration {name} from {start}", kills=len(left), left_at=sorted(set(left)), seconds=seconds)
    assert left
    assert (code == 0) is FULL


async def forgotten(url: str) -> None:
    """Wait until PostgreSQL has noticed that the killed client is gone, so that nothing changes any more."""
    if not url.startswith("sqlite"):
        others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        await until(lambda: not rows(url, others), 20)
