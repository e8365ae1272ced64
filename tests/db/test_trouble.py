"""What becomes of a database's trouble: unavailability, a conflict, a damaged disk, or a bug as it is."""

import asyncio
import sqlite3
import threading
from contextlib import closing

import pytest
from sqlalchemy import exc, select, text

from app.db import engine, inbox
from app.db.engine import Connection, Database
from app.db.migrate import open_for_migration
from app.db.tables import chores as table
from app.db.tables import deliveries
from app.db.url import sqlite_file
from app.domain.errors import DatabaseConflict, DatabaseDamaged, DatabaseUnavailable
from tests.db.opening import TOGETHER, fail_on_disk, names, opened, opened_with, touch
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

SECRET = "canary-7f3a"


def raw(url: str) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(str(sqlite_file(url)), isolation_level=None))


def lock_row(connection: Connection, name: str) -> None:
    connection.execute(table.update().where(table.c.name == name).values(finished_at=START))


# Trouble with SQLite


async def test_another_process_that_holds_the_lock_is_unavailability(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a bug and not a 500; when the lock is gone the next write succeeds (fault 6)."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 20)
    async with opened(sqlite_url) as database:
        with raw(sqlite_url) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable) as caught:
                await touch(database, SECRET)
            other.execute("ROLLBACK")
        await touch(database)
        assert await names(database) == {"a"}
    assert str(caught.value) == "database is locked"  # the driver's first line; no statement, no parameters


async def test_a_lock_that_begin_meets_is_an_error_of_a_statement(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever opens a connection by himself catches it as he catches the error of any other statement."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 20)
    with open_for_migration(sqlite_url):
        pass  # from now on the file keeps a log, and opening it waits for nobody
    with raw(sqlite_url) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(exc.OperationalError, match="database is locked") as caught, open_for_migration(sqlite_url):
            pass
    assert getattr(caught.value.orig, "sqlite_errorname", None) == "SQLITE_BUSY"


async def test_a_full_disk_is_unavailability(sqlite_url: str) -> None:
    """Nothing half-written stays, and it heals when there is room again (fault 4)."""
    large = [(delivery("r1", b"x" * 100_000), START)]
    with raw(sqlite_url) as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    async with opened_with(sqlite_url, f"PRAGMA max_page_count={pages + 2}") as database:
        with pytest.raises(DatabaseUnavailable, match="full"):
            await database.write(inbox.put, large)
        assert await database.read(lambda connection: connection.execute(select(deliveries.c.id)).all()) == []
        await database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1000000").close())
        await database.write(inbox.put, large)


async def test_a_database_that_takes_no_writes_is_unavailability(sqlite_url: str) -> None:
    """Reading goes on (fault 5)."""
    async with opened_with(sqlite_url, "PRAGMA query_only=ON") as database:
        with pytest.raises(DatabaseUnavailable, match="readonly"):
            await touch(database)
        assert await names(database) == set()


async def test_a_path_that_cannot_be_opened_is_unavailability(sqlite_url: str) -> None:
    """A folder in the file's place, for example (fault 5)."""
    async with opened(f"{sqlite_url}-as-folder") as database:
        path = sqlite_file(f"{sqlite_url}-as-folder")
        assert path is not None
        path.mkdir()
        with pytest.raises(DatabaseUnavailable, match="unable to open"):
            await touch(database)
        path.rmdir()
        await database.read(lambda connection: connection.execute(text("SELECT 1")).close())  # mended, it serves


async def test_a_page_that_turns_bad_is_unavailability(sqlite_url: str) -> None:
    """Found at run time it answers 503; the next start says how to restore (fault 7)."""
    async with opened(sqlite_url) as database:
        await touch(database)
    path = sqlite_file(sqlite_url)
    assert path is not None
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    path.write_bytes(content)
    async with opened(sqlite_url) as database:
        with pytest.raises(DatabaseUnavailable):
            await touch(database)


@pytest.mark.parametrize("where", ["FSYNC", "WRITE", "SHMMAP"])
async def test_a_failed_disk_calls_for_an_end(sqlite_url: str, where: str) -> None:
    """After an I/O error nobody knows what is on disk: whoever opened the database is told (fault 3)."""
    damages: list[str] = []
    async with opened(sqlite_url, on_damage=lambda: damages.append("told")) as database:
        with pytest.raises(DatabaseDamaged, match="disk I/O error"):
            await database.write(fail_on_disk, where)
        assert damages == ["told"]
        with pytest.raises(DatabaseDamaged):
            await database.read(fail_on_disk, where)
    assert damages == ["told"]  # what cannot be read now was safe when it was acknowledged


# Trouble with PostgreSQL


async def test_a_real_deadlock_is_a_conflict(postgres_url: str) -> None:
    """Two transactions that wait for each other: one is undone and may be tried again (fault 12)."""
    barrier = threading.Barrier(2, timeout=TOGETHER)

    def cross(connection: Connection, first: str, second: str) -> None:
        lock_row(connection, first)
        barrier.wait()
        lock_row(connection, second)

    async with opened_with(postgres_url, "SET deadlock_timeout = '10ms'") as database:
        for name in ("a", "b"):
            await touch(database, name)
        both = (database.write(cross, "a", "b"), database.write(cross, "b", "a"))
        results = await asyncio.gather(*both, return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [DatabaseConflict]


async def test_a_failed_serialization_is_a_conflict(postgres_url: str) -> None:
    """A row that changed under a repeatable read: the same again is expected to succeed (fault 12)."""
    async with opened(postgres_url) as database:
        await touch(database)

        def overtaken(slow: Connection) -> None:
            slow.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            slow.execute(select(table))
            with database.engine.begin() as quick:
                lock_row(quick, "a")
            lock_row(slow, "a")

        with pytest.raises(DatabaseConflict):
            await database.write(overtaken)


async def test_a_statement_that_takes_too_long_is_unavailability(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slow query, or another's row, ends below the time in which a delivery must be answered (fault 9)."""
    monkeypatch.setattr(engine, "STATEMENT_TIMEOUT", 50)
    async with opened(postgres_url) as database:
        await touch(database)
        with pytest.raises(DatabaseUnavailable, match="timeout"):
            await database.read(lambda connection: connection.execute(text("SELECT pg_sleep(5)")).close())
        with database.engine.begin() as holder:
            lock_row(holder, "a")
            with pytest.raises(DatabaseUnavailable):
                await touch(database)
        await touch(database)


async def test_a_server_that_is_not_there_is_unavailability(free_tcp_port: int) -> None:
    """Refused connections are no bug."""
    async with opened(f"postgresql://nobody@127.0.0.1:{free_tcp_port}/none") as database:
        with pytest.raises(DatabaseUnavailable):
            await touch(database)


async def test_a_standby_that_takes_no_writes_is_unavailability(postgres_url: str) -> None:
    """After a failover the old address may be read-only for a while: 503, not 500 (fault 5)."""
    async with opened_with(postgres_url, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY") as database:
        with pytest.raises(DatabaseUnavailable):
            await touch(database)


# Trouble with both


async def test_a_bug_stays_a_bug(database: Database) -> None:
    """A broken rule of ours is not dressed up as unavailability, and shows no parameter, nor does its cause (I7)."""

    def break_a_rule(connection: Connection) -> None:
        connection.execute(table.insert().values(name=SECRET, due_at=START, reason=SECRET))

    await touch(database, SECRET)
    with pytest.raises(exc.IntegrityError) as caught:
        await database.write(break_a_rule)
    said = str(caught.value) if database.is_sqlite else str(caught.value).partition("DETAIL")[0]
    assert SECRET not in said
