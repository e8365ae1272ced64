"""Transactions, and connections that are lost before, in and between them."""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, exc, select

from app.db import chores, engine
from app.db.engine import Connection, Database
from app.db.tables import chores as table
from app.domain.errors import DatabaseUnavailable
from tests import disk
from tests.db.opening import TOGETHER, hang_up, names, opened, touch
from tests.fakes import START

pytestmark = pytest.mark.anyio


# Transactions


async def test_a_function_that_returns_is_committed(database: Database, replica: Database) -> None:
    """Another process sees it, and the caller gets what the function returned."""

    def write(connection: Connection, name: str, *, at: datetime) -> str:
        chores.touch(connection, name, at)
        return name.upper()

    assert await database.write(write, "a", at=START) == "A"
    assert await names(replica) == {"a"}


async def test_a_function_that_raises_is_undone(database: Database) -> None:
    """All of it, and the error arrives as it was raised."""

    def write(connection: Connection) -> None:
        chores.touch(connection, "a", START)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(write)
    assert await names(database) == set()


async def test_a_read_does_not_wait_for_a_writer(database: Database) -> None:
    """While somebody writes, others see what was committed before."""
    written, seen = threading.Event(), threading.Event()

    def write(connection: Connection) -> None:
        chores.touch(connection, "after", START)
        written.set()
        assert seen.wait(TOGETHER)

    await touch(database, "before")
    writer = asyncio.ensure_future(database.write(write))
    assert await asyncio.to_thread(written.wait, TOGETHER)
    assert await names(database) == {"before"}
    seen.set()
    await writer


async def test_writers_of_one_process_take_turns(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten at once succeed without waiting for SQLite's own busy handler."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 0)
    async with opened(sqlite_url) as database:
        await asyncio.gather(*(touch(database, f"n{number}") for number in range(10)))
        assert len(await names(database)) == 10


async def test_the_log_of_sqlite_is_moved_into_its_file(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soon after a write, by another thread than the writer's: what was written stands in the file alone."""
    moved = threading.Event()
    by: list[str] = []

    def move(connection: Connection) -> None:
        engine_checkpoint(connection)
        by.append(threading.current_thread().name)
        moved.set()

    engine_checkpoint = engine._checkpoint
    monkeypatch.setattr(engine, "_checkpoint", move)
    async with opened(sqlite_url) as database:
        await touch(database, "a")
        assert await asyncio.to_thread(moved.wait, TOGETHER)
        file = Path(sqlite_url.removeprefix("sqlite:///"))
        alone = file.with_suffix(".alone")
        shutil.copy(file, alone)
    with closing(sqlite3.connect(alone)) as connection:
        assert connection.execute(f"SELECT name FROM {table.name}").fetchall() == [("a",)]
    assert [name.startswith("database-checkpoint") for name in by] == [True]


async def test_moments_come_back_in_utc(database: Database) -> None:
    """Whatever zone they went in with; SQLite keeps none."""
    astana = datetime(2026, 11, 22, 17, 0, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    await database.write(chores.touch, "a", astana)
    moment = await database.read(lambda connection: connection.execute(select(table.c.finished_at)).scalar_one())
    assert (moment, moment.tzinfo) == (astana, UTC)


async def test_every_connection_of_sqlite_is_durable(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """WAL, and synchronous=FULL (2): NORMAL loses acknowledged rows in a power cut (fault 2)."""
    monkeypatch.setattr(engine, "tune_sqlite", disk.DURABLE)
    barrier = threading.Barrier(1 + engine.READERS, timeout=TOGETHER)

    def look(connection: Connection) -> tuple[Any, ...]:
        barrier.wait()  # each has a connection of its own
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        return tuple(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas)

    async with opened(sqlite_url) as database:
        readers = [database.read(look) for _ in range(engine.READERS)]
        assert set(await asyncio.gather(database.write(look), *readers)) == {("wal", 2, 1, engine.BUSY_TIMEOUT)}


async def test_a_refused_commit_leaves_nothing_open(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a constraint refuses only at the end is undone, and the same thread writes on."""
    monkeypatch.setattr(engine, "WRITERS", 1)

    def write(connection: Connection) -> None:
        chores.touch(connection, "refused", START)
        connection.exec_driver_sql("CREATE TEMP TABLE one (n int UNIQUE DEFERRABLE INITIALLY DEFERRED) ON COMMIT DROP")
        connection.exec_driver_sql("INSERT INTO one VALUES (1), (1)")

    async with opened(postgres_url) as database:
        with pytest.raises(exc.IntegrityError):
            await database.write(write)
        await touch(database, "next")
        assert await names(database) == {"next"}


# Lost connections


async def test_connections_that_died_idle_are_made_anew(postgres_url: str) -> None:
    """After a restart of the database nobody sees an error (faults 8 and 10)."""
    async with opened(postgres_url) as database:
        await touch(database)
        assert await names(database) == {"a"}
        hang_up(postgres_url)
        await touch(database, "b")
        assert await names(database) == {"a", "b"}


@pytest.mark.parametrize("deaths", [1, 2])
async def test_a_transaction_whose_connection_dies_at_work_is_run_once_more(postgres_url: str, deaths: int) -> None:
    """On a new connection, for nothing of it was committed; where that dies too, it is unavailability (fault 8)."""
    runs: list[str] = []

    def write(connection: Connection) -> None:
        runs.append("begun")
        chores.touch(connection, f"run {len(runs)}", START)
        if len(runs) <= deaths:
            hang_up(postgres_url)
        chores.touch(connection, "all", START)

    async with opened(postgres_url) as database:
        if deaths == 1:
            await database.write(write)
        else:
            with pytest.raises(DatabaseUnavailable):
                await database.write(write)
        await touch(database, "next")
        assert await names(database) == {"next"} | ({"run 2", "all"} if deaths == 1 else set())
    assert len(runs) == 2


async def test_a_connection_that_dies_in_the_commit_is_unavailability(postgres_url: str) -> None:
    """Nobody knows whether it was committed, so it is not run again by itself (fault 8)."""
    runs: list[str] = []

    def write(connection: Connection) -> None:
        runs.append("begun")
        chores.touch(connection, "a", START)

    async with opened(postgres_url) as database:
        await touch(database, "before")
        event.listen(database.engine, "commit", lambda _connection: hang_up(postgres_url), once=True)
        with pytest.raises(DatabaseUnavailable):
            await database.write(write)
        await touch(database, "next")
    assert runs == ["begun"]
