"""Transactions, and what becomes of a database's trouble."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import QueuePool, event, exc, select, text

from app.db import chores, engine, inbox
from app.db.engine import Connection, Database, open_database
from app.db.tables import chores as table
from app.db.tables import deliveries
from app.db.url import sqlite_file
from app.domain.errors import DatabaseConflict, DatabaseDamaged, DatabaseUnavailable
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

SECRET = "canary-7f3a"
HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aisha-webhook'"


@asynccontextmanager
async def opened(url: str, on_damage: Callable[[], None] | None = None) -> AsyncIterator[Database]:
    database = open_database(url, on_damage)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_with(url: str, statement: str) -> AsyncIterator[Database]:
    """Open a database whose every connection first runs a statement."""

    def prepare(dbapi: Any, _record: object) -> None:
        cursor = dbapi.cursor()
        cursor.execute(statement)
        cursor.close()
        dbapi.commit()

    async with opened(url) as database:
        event.listen(database.engine, "connect", prepare)
        yield database


async def touch(database: Database, name: str = "a", trouble: Exception | None = None) -> None:
    with database.engine.begin() as transaction:
        chores.touch(transaction, name, START)
        if trouble is not None:
            raise trouble


async def hang_up(admin: Database) -> None:
    """Let the server end every connection but this one."""
    with admin.engine.begin() as transaction:
        transaction.execute(text(f"{HANG_UP} AND pid <> pg_backend_pid()"))


async def names(database: Database) -> set[str]:
    with database.engine.connect() as connection:
        return set((connection.execute(select(table.c.name))).scalars())


def raw(url: str) -> "closing[sqlite3.Connection]":
    return closing(sqlite3.connect(str(sqlite_file(url)), isolation_level=None))


async def lock_row(transaction: Connection, name: str, moment: datetime = START) -> None:
    transaction.execute(table.update().where(table.c.name == name).values(finished_at=moment))


# Transactions


async def test_a_block_that_ends_is_committed(database: Database, replica: Database) -> None:
    """Another process sees it."""
    await touch(database)
    assert await names(replica) == {"a"}


async def test_a_block_that_raises_is_undone(database: Database) -> None:
    """All of it, and the error arrives as it was raised."""
    with pytest.raises(ZeroDivisionError):
        await touch(database, trouble=ZeroDivisionError())
    assert await names(database) == set()


async def test_a_cancelled_block_is_undone(database: Database) -> None:
    """A request that goes away in the middle leaves nothing behind, and the next one gets its turn."""
    inside = asyncio.Event()

    async def write() -> None:
        with database.engine.begin() as transaction:
            chores.touch(transaction, "gone", START)
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await touch(database, "next")
    assert await names(database) == {"next"}


async def test_a_read_does_not_wait_for_a_writer(database: Database) -> None:
    """While somebody writes, others see what was committed before."""
    await touch(database, "before")
    with database.engine.begin() as transaction:
        chores.touch(transaction, "after", START)
        assert await names(database) == {"before"}


async def test_writers_of_one_process_take_turns(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten at once succeed without waiting for SQLite's own busy handler."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 0)
    async with opened(sqlite_url) as database:
        await asyncio.gather(*(touch(database, f"n{number}") for number in range(10)))
        assert len(await names(database)) == 10


async def test_moments_come_back_in_utc(database: Database) -> None:
    """Whatever zone they went in with; SQLite keeps none."""
    astana = datetime(2026, 11, 22, 17, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    with database.engine.begin() as transaction:
        chores.touch(transaction, "a", astana)
    with database.engine.connect() as connection:
        moment = (connection.execute(select(table.c.finished_at))).scalar_one()
    assert (moment, moment.tzinfo) == (astana, UTC)


# Durability


async def test_every_pooled_connection_of_sqlite_is_durable(sqlite_url: str) -> None:
    """WAL, and synchronous=FULL (2): NORMAL loses acknowledged rows in a power cut (fault 2)."""
    async with opened(sqlite_url) as database, AsyncExitStack() as stack:
        found = []
        for _ in range(engine.POOL_SIZE):
            connection = await stack.enter_async_context(database.read())
            found.append(
                tuple(
                    [
                        (connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
                        for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
                    ]
                )
            )
    assert set(found) == {("wal", 2, 1, engine.BUSY_TIMEOUT)}
    assert len(found) == engine.POOL_SIZE


# Trouble with SQLite


async def test_another_process_that_holds_the_lock_is_unavailability(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a bug and not a 500; when the lock is gone the next write succeeds (fault 6)."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 20)
    async with opened(sqlite_url) as database:
        with raw(sqlite_url) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable, match="locked"):
                await touch(database)
            other.execute("ROLLBACK")
        await touch(database)
        assert await names(database) == {"a"}


async def test_a_full_disk_is_unavailability(sqlite_url: str) -> None:
    """Nothing half-written stays, and it heals when there is room again (fault 4)."""
    with raw(sqlite_url) as other:
        pages = other.execute("PRAGMA page_count").fetchone()[0]
    async with opened_with(sqlite_url, f"PRAGMA max_page_count={pages + 2}") as database:
        with pytest.raises(DatabaseUnavailable, match="full"), database.engine.begin() as transaction:
            inbox.put(transaction, [(delivery("r1", b"x" * 100_000), START)])
        with database.engine.connect() as connection:
            assert (connection.execute(select(deliveries.c.id))).all() == []
        with database.engine.begin() as transaction:
            transaction.exec_driver_sql("PRAGMA max_page_count=1000000")
            inbox.put(transaction, [(delivery("r1", b"x" * 100_000), START)])


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
        with database.engine.connect() as connection:  # mended, it serves
            connection.execute(text("SELECT 1"))


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
    trouble = sqlite3.OperationalError("disk I/O error")
    trouble.sqlite_errorname = f"SQLITE_IOERR_{where}"
    async with opened(sqlite_url, on_damage=lambda: damages.append("told")) as database:
        with pytest.raises(DatabaseDamaged, match="disk I/O error"):
            async with database.write():
                raise exc.OperationalError("COMMIT", {}, trouble)
    assert damages == ["told"]


# Trouble with PostgreSQL


async def test_a_real_deadlock_is_a_conflict(postgres_url: str) -> None:
    """Two transactions that wait for each other: one is undone and may be tried again (fault 12)."""
    async with opened_with(postgres_url, "SET deadlock_timeout = '10ms'") as database:
        for name in ("a", "b"):
            await touch(database, name)
        barrier = asyncio.Barrier(2)

        async def cross(first: str, second: str) -> None:
            with database.engine.begin() as transaction:
                lock_row(transaction, first)
                await barrier.wait()
                lock_row(transaction, second)

        results = await asyncio.gather(cross("a", "b"), cross("b", "a"), return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [DatabaseConflict]


async def test_a_failed_serialization_is_a_conflict(postgres_url: str) -> None:
    """A row that changed under a repeatable read: the same again is expected to succeed (fault 12)."""
    async with opened(postgres_url) as database:
        await touch(database)

        async def overtaken() -> None:
            with database.engine.begin() as slow:
                slow.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
                slow.execute(select(table))
                with database.engine.begin() as quick:
                    lock_row(quick, "a")
                lock_row(slow, "a")

        with pytest.raises(DatabaseConflict):
            await overtaken()


async def test_a_statement_that_takes_too_long_is_unavailability(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hung query ends below the time in which a delivery must be answered; the connection serves on (fault 9)."""
    monkeypatch.setattr(engine, "STATEMENT_TIMEOUT", 50)
    async with opened(postgres_url) as database:
        with pytest.raises(DatabaseUnavailable, match="timeout"), database.engine.connect() as connection:
            connection.execute(text("SELECT pg_sleep(5)"))
        await touch(database)


async def test_a_lock_held_too_long_is_unavailability(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for another's row ends as well."""
    monkeypatch.setattr(engine, "STATEMENT_TIMEOUT", 50)
    async with opened(postgres_url) as database:
        await touch(database)
        with database.engine.begin() as holder:
            lock_row(holder, "a")
            with pytest.raises(DatabaseUnavailable):
                await touch(database)


async def test_connections_that_died_idle_are_made_anew(postgres_url: str) -> None:
    """After a restart of the database nobody sees an error (faults 8 and 10)."""
    async with opened(postgres_url) as database, opened(postgres_url) as admin:
        await touch(database)
        await hang_up(admin)
        await touch(database, "b")
        assert await names(database) == {"a", "b"}


async def test_a_connection_that_dies_at_work_is_unavailability(postgres_url: str) -> None:
    """What was under way is not committed, and the pool is not poisoned (fault 8)."""
    async with opened(postgres_url) as database, opened(postgres_url) as admin:

        async def work() -> None:
            with database.engine.begin() as transaction:
                chores.touch(transaction, "lost", START)
                await hang_up(admin)
                chores.touch(transaction, "lost too", START)

        with pytest.raises(DatabaseUnavailable):
            await work()
        await touch(database, "next")
        assert await names(database) == {"next"}


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


async def test_an_exhausted_pool_is_unavailability(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait for a connection is bounded, and ends well as soon as one is free (fault 11)."""
    monkeypatch.setattr(engine, "POOL_SIZE", 1)
    monkeypatch.setattr(engine, "POOL_TIMEOUT", 0.05)
    async with opened(database_url) as database:
        with database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            with pytest.raises(DatabaseUnavailable):
                await names(database)
        assert await names(database) == set()


async def test_a_bug_stays_a_bug(database: Database) -> None:
    """A broken rule of ours is not dressed up as unavailability."""
    await touch(database)
    with pytest.raises(exc.IntegrityError), database.engine.begin() as transaction:
        transaction.execute(table.insert().values(name="a", due_at=START))


async def test_no_error_tells_what_owners_typed(database: Database) -> None:
    """Neither the error nor its cause shows a parameter (I7)."""
    await touch(database, SECRET)
    with pytest.raises(exc.IntegrityError) as caught, database.engine.begin() as transaction:
        transaction.execute(table.insert().values(name=SECRET, due_at=START, reason=SECRET))
    said = str(caught.value) if database.is_sqlite else str(caught.value).partition("DETAIL")[0]
    assert SECRET not in said


async def test_unavailability_tells_the_drivers_first_line_only(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No statement, no parameters."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 20)
    async with opened(sqlite_url) as database:
        with raw(sqlite_url) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable) as caught:
                await touch(database, SECRET)
    assert str(caught.value) == "database is locked"


def idle_connections(database: Database) -> int:
    pool = database.engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedin()


@pytest.mark.parametrize("reading", [False, True])
async def test_after_a_mute_connection_none_of_its_age_is_used(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, reading: bool
) -> None:
    """Five half-open connections would cost five times the patience; a fresh one costs none (fault 10)."""
    async with opened(postgres_url) as database:
        async with AsyncExitStack() as stack:
            for _ in range(3):
                connection = await stack.enter_async_context(database.read())
                connection.execute(text("SELECT 1"))
        assert idle_connections(database) == 3
        monkeypatch.setattr(engine, "PATIENCE", 0.2)
        with pytest.raises(DatabaseUnavailable, match="no answer within"):
            async with database.read() if reading else database.write() as connection:
                connection.execute(text("SELECT pg_sleep(3)"))
        assert idle_connections(database) == 0
        monkeypatch.undo()
        await touch(database)
