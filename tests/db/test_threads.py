"""Deadlines: a transaction ends committed, undone or unknown, and whatever holds it up holds nobody else."""

import asyncio
import threading
from contextvars import ContextVar

import pytest
from sqlalchemy import event, text

from app.db import engine, threads
from app.db.engine import Connection, Database
from app.db.line import Line
from app.domain.errors import DatabaseUnavailable
from tests.db.opening import NO_ANSWER, SHORT, TOGETHER, Hang, fail_on_disk, names, opened, touch

pytestmark = pytest.mark.anyio

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


# Work that has not begun


@pytest.mark.usefixtures("short")
async def test_work_that_has_not_begun_by_its_deadline_never_begins(sqlite_url: str, hang: Hang) -> None:
    """All threads are busy: the wait is bounded, and ends well as soon as one is free (fault 11)."""
    async with opened(sqlite_url) as database:
        first = asyncio.ensure_future(database.write(hang.write, "first"))
        await hang.has_begun()
        late = await asyncio.gather(touch(database, "late"), return_exceptions=True)
        assert [str(error) for error in late] == [f"{NO_ANSWER} 0 s"]
        hang.end.set()
        await asyncio.gather(first, return_exceptions=True)
        await touch(database, "next")
        assert "late" not in await names(database)


async def test_work_whose_caller_left_before_it_began_never_begins(sqlite_url: str, hang: Hang) -> None:
    """A request that goes away while it waits for its turn leaves nothing behind."""
    async with opened(sqlite_url) as database:
        first = asyncio.ensure_future(database.write(hang.write, "first"))
        await hang.has_begun()
        gone = asyncio.ensure_future(touch(database, "gone"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        hang.end.set()
        await asyncio.gather(first, return_exceptions=True)
        await touch(database, "next")
        assert await names(database) == {"first", "next"}


# Work under way


async def test_cancelling_the_caller_undoes_nothing_that_has_begun(database: Database, hang: Hang) -> None:
    """What is under way is committed, and the next one gets its turn."""
    task = asyncio.ensure_future(database.write(hang.write, "begun"))
    await hang.has_begun()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    hang.end.set()
    await touch(database, "next")
    await database.close()  # waits for what is under way
    assert await names(database) == {"begun", "next"}


@pytest.mark.usefixtures("short")
async def test_what_hangs_past_its_deadline_commits_nothing(sqlite_url: str, hang: Hang) -> None:
    """The caller is answered in time, the thread takes nothing else until it is free, then all is well (fault 9)."""
    async with opened(sqlite_url) as database:
        with pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
            await database.write(hang.write, "hung")
        with pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
            await touch(database, "not begun")
        hang.end.set()
        await touch(database, "next")
        assert await names(database) == {"next"}


@pytest.mark.usefixtures("short")
async def test_the_end_of_a_commit_that_hangs_is_unknown(sqlite_url: str, hang: Hang) -> None:
    """As with a disk that holds up an fsync: the caller is told in time, and here it was committed after all."""
    async with opened(sqlite_url) as database:
        await touch(database, "before")
        event.listen(database.engine, "commit", hang.hold, once=True)
        with pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
            await touch(database, "unknown")
        hang.end.set()
        await touch(database, "next")
        assert await names(database) == {"before", "unknown", "next"}


async def test_a_commit_that_ends_soon_after_its_deadline_has_succeeded(
    sqlite_url: str, hang: Hang, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that was cut is given a moment to tell how it ended."""
    monkeypatch.setattr(threads, "GRACE", TOGETHER)
    plain = Line.cut

    def cut(line: Line) -> None:
        plain(line)
        hang.end.set()

    monkeypatch.setattr(Line, "cut", cut)
    async with opened(sqlite_url) as database:
        await touch(database, "before")
        monkeypatch.setattr(engine, "PATIENCE", SHORT)
        event.listen(database.engine, "commit", hang.hold, once=True)
        await touch(database, "committed")
        monkeypatch.setattr(engine, "PATIENCE", TOGETHER)
        assert await names(database) == {"before", "committed"}


async def test_a_read_of_sqlite_is_interrupted_at_its_deadline(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread reads on at once."""
    monkeypatch.setattr(engine, "READERS", 1)
    async with opened(sqlite_url) as database:
        monkeypatch.setattr(engine, "PATIENCE", SHORT)
        with pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
            await database.read(lambda connection: connection.execute(text(ENDLESS)).close())
        monkeypatch.undo()
        assert await names(database) == set()


# Threads


async def test_the_context_travels_with_the_call(database: Database) -> None:
    """What the caller had bound to its log lines is bound in the function."""
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("r1")
    assert await database.write(lambda _: variable.get()) == "r1"


async def test_a_crowd_finds_all_threads(postgres_url: str) -> None:
    """One that is idle does not keep the others from being started."""
    barrier = threading.Barrier(engine.WRITERS, timeout=TOGETHER)
    async with opened(postgres_url) as database:
        await touch(database)
        await asyncio.gather(*(database.write(lambda _: barrier.wait()) for _ in range(engine.WRITERS)))


@pytest.mark.usefixtures("short")
async def test_a_thread_that_hangs_does_not_hold_up_the_end(sqlite_url: str, hang: Hang) -> None:
    """Closing leaves it behind, and so does the interpreter."""
    async with opened(sqlite_url) as database:
        before = set(threading.enumerate())
        task = asyncio.ensure_future(database.write(hang.write, "hung"))
        await hang.has_begun()
    new = [thread for thread in threading.enumerate() if thread not in before and thread.name.startswith("database")]
    assert [thread.daemon for thread in new] == [True]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_where_no_thread_is_to_be_had_the_next_call_asks_again(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's limit is no bug: whoever asked is answered at the deadline (fault 14)."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError

    async with opened(sqlite_url) as database:
        with monkeypatch.context() as patch:
            patch.setattr(engine, "PATIENCE", SHORT)
            patch.setattr(threading.Thread, "start", refuse)
            with pytest.raises(DatabaseUnavailable, match=NO_ANSWER):
                await touch(database)
        await touch(database, "next")
        assert await names(database) == {"next"}


async def test_a_failed_disk_is_told_although_the_caller_has_gone(sqlite_url: str, hang: Hang) -> None:
    """The process must end all the same (fault 3)."""
    told = threading.Event()

    def fail(connection: Connection) -> None:
        hang.hold()
        fail_on_disk(connection)

    async with opened(sqlite_url, on_damage=told.set) as database:
        task = asyncio.ensure_future(database.write(fail))
        await hang.has_begun()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        hang.end.set()
        assert await asyncio.to_thread(told.wait, TOGETHER)
