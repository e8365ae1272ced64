"""A session on PostgreSQL is ours, whatever the role and the database have as defaults (fault 58)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import func, select, text

from app.db import chores
from app.db.engine import Connection, Database, open_database
from app.db.migrate import open_for_migration
from app.db.tables import chores as table
from tests.pgbouncer import start_pgbouncer

pytestmark = pytest.mark.anyio

MOMENT = datetime(2026, 11, 3, 17, 5, 6, 123456, tzinfo=UTC)
HOSTILE = [
    ("datestyle", "SQL, DMY"),
    ("timezone", "Asia/Almaty"),
    ("intervalstyle", "iso_8601"),
    ("bytea_output", "escape"),
    ("client_encoding", "LATIN1"),
    ("standard_conforming_strings", "off"),
    ("statement_timeout", "50"),
    ("lock_timeout", "10"),
    ("idle_in_transaction_session_timeout", "10"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_deferrable", "on"),
    ("row_security", "off"),
    ("synchronous_commit", "off"),
    ("idle_session_timeout", "50"),
    ("transaction_timeout", "50"),
]


@pytest.fixture(params=HOSTILE, ids=lambda pair: f"{pair[0]}={pair[1]}")
def hostile(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[tuple[str, str]]:
    """A database whose sessions begin with a setting that is not ours."""
    name, value = request.param
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        database = sql.Identifier(admin.info.dbname)
        if not admin.execute("SELECT 1 FROM pg_settings WHERE lower(name) = %s", [name]).fetchone():
            pytest.skip(f"this PostgreSQL has no {name}")
        change = sql.SQL("ALTER DATABASE {} SET {} = {}").format(database, sql.Identifier(name), value)
        admin.execute(change)
        yield name, value
        admin.execute("SET statement_timeout = 0")
        admin.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(database))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    try:
        yield database
    finally:
        await database.close()


def look(connection: Connection) -> tuple[datetime, bytes, str, str, bool]:
    row = connection.execute(
        select(table.c.finished_at, func.convert_to("Айша", "UTF8"), table.c.reason, text("E'\\\\' || '\\\\'"))
    ).one()
    durable = connection.execute(text("SHOW synchronous_commit")).scalar_one() != "off"
    return (*row, durable)


async def write_and_read(database: Database) -> None:
    def write(connection: Connection) -> None:
        chores.touch(connection, "a", MOMENT)
        connection.execute(text("SELECT pg_sleep(0.06)"))
        chores.finish(connection, "a", now=MOMENT, every=timedelta(), reason="Айша 🦊")

    await database.write(write)
    for run in (database.read, database.write):
        assert await run(look) == (MOMENT, "Айша".encode(), "Айша 🦊", "\\\\\\", True)


async def test_foreign_defaults_change_nothing(hostile: tuple[str, str], postgres_url: str) -> None:
    """A moment, bytes, any letter and a backslash come back as they went in, in our own time, and are durable."""
    async with opened(postgres_url) as database:
        await write_and_read(database)


async def test_foreign_defaults_change_nothing_behind_a_pooler(hostile: tuple[str, str], postgres_url: str) -> None:
    """Each transaction brings what the session does not have."""
    if hostile[0] == "idle_session_timeout":
        pytest.skip("it ends PgBouncer's own sessions")
    with start_pgbouncer(postgres_url, "transaction") as url:
        async with opened(url) as database:
            await write_and_read(database)


def test_a_migration_takes_its_time(hostile: tuple[str, str], postgres_url: str) -> None:
    """It runs on a session of ours, too."""
    with open_for_migration(postgres_url) as connection:
        connection.execute(text("SELECT pg_sleep(0.06)"))
        assert connection.execute(text("SELECT now()")).scalar_one().tzinfo is not None
