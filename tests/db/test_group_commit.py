"""Group commit: one transaction for all that waits, and nobody pays for another's poison."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from app.db import chores, inbox
from app.db import group_commit as module
from app.db.engine import Connection, Database
from app.db.group_commit import GroupCommit
from app.db.tables import chores as table
from app.db.tables import deliveries
from app.domain.errors import DatabaseConflict, DatabaseUnavailable
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

PATIENCE = 5  # s that a thread of the test waits for another


@dataclass
class Writer:
    """Writes a row per word, and fails as it was told to; remembers the groups."""

    groups: list[list[str]] = field(default_factory=list)
    troubles: list[Exception] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def __call__(self, transaction: Connection, words: Sequence[str]) -> list[str]:
        self.groups.append(list(words))
        self.begun.set()
        self.gate.wait(PATIENCE)
        for word in words:
            chores.touch(transaction, word, START)
        if "poison" in words:
            raise ZeroDivisionError
        if self.troubles:
            raise self.troubles.pop(0)
        return [word.upper() for word in words]


async def begun(writer: Writer) -> None:
    assert await asyncio.to_thread(writer.begun.wait, PATIENCE)


@asynccontextmanager
async def running(group_commit: GroupCommit[str, str]) -> AsyncIterator[None]:
    task = asyncio.create_task(group_commit.run())
    try:
        yield
    finally:
        group_commit.close()
        await task


def submit_all(group_commit: GroupCommit[str, str], *words: str) -> Awaitable[list[str | BaseException]]:
    return asyncio.gather(*(group_commit.submit(word) for word in words), return_exceptions=True)


async def stored(database: Database) -> list[str]:
    with database.engine.connect() as connection:
        return sorted((connection.execute(select(table.c.name))).scalars())


async def test_what_waits_together_is_committed_together(database: Database) -> None:
    """Three submitters, one transaction, to each its own result."""
    writer = Writer()
    group_commit = GroupCommit(database, writer)
    waiting = asyncio.ensure_future(submit_all(group_commit, "a", "b", "c"))
    await asyncio.sleep(0)
    async with running(group_commit):
        assert await waiting == ["A", "B", "C"]
    assert writer.groups == [["a", "b", "c"]]


async def test_the_next_group_gathers_while_one_is_written(database: Database) -> None:
    """The group grows with the load, without a timer."""
    writer = Writer()
    writer.gate.clear()
    group_commit = GroupCommit(database, writer)
    async with running(group_commit):
        first = asyncio.ensure_future(submit_all(group_commit, "a"))
        await begun(writer)
        rest = asyncio.ensure_future(submit_all(group_commit, "b", "c", "d"))
        await asyncio.sleep(0)
        writer.gate.set()
        await asyncio.gather(first, rest)
    assert writer.groups == [["a"], ["b", "c", "d"]]


async def test_a_group_has_a_limit(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood is cut into several transactions."""
    monkeypatch.setattr(module, "MAX_GROUP", 2)
    writer = Writer()
    group_commit = GroupCommit(database, writer)
    waiting = asyncio.ensure_future(submit_all(group_commit, "a", "b", "c"))
    await asyncio.sleep(0)
    async with running(group_commit):
        assert await waiting == ["A", "B", "C"]
    assert writer.groups == [["a", "b"], ["c"]]


async def test_poison_costs_only_its_own(database: Database) -> None:
    """One item that cannot be written fails alone; the others are stored, and it leaves nothing behind."""
    group_commit = GroupCommit(database, Writer())
    waiting = asyncio.ensure_future(submit_all(group_commit, "a", "poison", "c"))
    await asyncio.sleep(0)
    async with running(group_commit):
        one, poison, three = await waiting
    assert (one, three) == ("A", "C")
    assert isinstance(poison, ZeroDivisionError)
    assert await stored(database) == ["a", "c"]


async def test_an_unavailable_database_is_told_to_all(database: Database) -> None:
    """Every submitter of the group learns it, and none is tried one by one."""
    writer = Writer(troubles=[DatabaseUnavailable("down")])
    group_commit = GroupCommit(database, writer)
    waiting = asyncio.ensure_future(submit_all(group_commit, "a", "b"))
    await asyncio.sleep(0)
    async with running(group_commit):
        assert [type(error) for error in await waiting] == [DatabaseUnavailable] * 2
        assert await group_commit.submit("c") == "C"
    assert writer.groups == [["a", "b"], ["c"]]
    assert await stored(database) == ["c"]


async def test_a_conflict_is_tried_again(database: Database) -> None:
    """A deadlock or a failed serialization is nobody's fault: the same group again (fault 12)."""
    writer = Writer(troubles=[DatabaseConflict("deadlock"), DatabaseConflict("deadlock")])
    group_commit = GroupCommit(database, writer)
    async with running(group_commit):
        assert await group_commit.submit("a") == "A"
    assert len(writer.groups) == 3


async def test_endless_conflicts_end(database: Database) -> None:
    """After three tries the submitters learn that the database is not available."""
    writer = Writer(troubles=[DatabaseConflict("deadlock")] * 9)
    group_commit = GroupCommit(database, writer)
    async with running(group_commit):
        with pytest.raises(DatabaseUnavailable):
            await group_commit.submit("a")
    assert len(writer.groups) == module.CONFLICT_TRIES


async def test_what_is_answered_is_already_durable(database: Database, replica: Database) -> None:
    """When `submit` returns another process sees the row: commit, then answer (I1)."""
    group_commit = GroupCommit(database, inbox.put)
    task = asyncio.create_task(group_commit.run())
    receipt = await group_commit.submit((delivery("r1"), START))
    with replica.engine.connect() as connection:
        assert list((connection.execute(select(deliveries.c.id))).scalars()) == [receipt.id]
    group_commit.close()
    await task


async def test_closing_writes_what_waits(database: Database) -> None:
    """`run` returns only after everybody who waited has been served."""
    writer = Writer()
    writer.gate.clear()
    group_commit = GroupCommit(database, writer)
    task = asyncio.create_task(group_commit.run())
    first = asyncio.ensure_future(submit_all(group_commit, "a"))
    await begun(writer)
    rest = asyncio.ensure_future(submit_all(group_commit, "b"))
    await asyncio.sleep(0)
    group_commit.close()
    writer.gate.set()
    await task
    assert (await first, await rest) == (["A"], ["B"])


async def test_whoever_gave_up_disturbs_nobody(database: Database) -> None:
    """A submitter that was cancelled finds its row stored all the same; the others get their answers."""
    writer = Writer()
    writer.gate.clear()
    group_commit = GroupCommit(database, writer)
    gone, stays = (asyncio.ensure_future(group_commit.submit(word)) for word in ("gone", "stays"))
    async with running(group_commit):
        await begun(writer)
        gone.cancel()
        await asyncio.sleep(0)
        writer.gate.set()
        assert await stays == "STAYS"
    assert gone.cancelled()
    assert await stored(database) == ["gone", "stays"]


async def test_whoever_gave_up_before_a_failure_disturbs_nobody(database: Database) -> None:
    """The same when the commit fails."""
    writer = Writer(troubles=[DatabaseUnavailable("down")])
    writer.gate.clear()
    group_commit = GroupCommit(database, writer)
    gone = asyncio.ensure_future(group_commit.submit("gone"))
    async with running(group_commit):
        await begun(writer)
        gone.cancel()
        await asyncio.sleep(0)
        writer.gate.set()
        assert await group_commit.submit("next") == "NEXT"


async def test_after_closing_nothing_is_taken(database: Database) -> None:
    """A submitter that comes too late is told so instead of waiting for ever."""
    group_commit = GroupCommit(database, Writer())
    async with running(group_commit):
        pass
    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(group_commit.submit("late"), 0.1)


async def test_a_writer_that_is_cut_off_tells_whoever_waits(database: Database) -> None:
    """When the server stops and the writer hangs, its submitters do not wait for ever."""
    writer = Writer()
    writer.gate.clear()
    group_commit = GroupCommit(database, writer)
    task = asyncio.create_task(group_commit.run())
    waiting = asyncio.ensure_future(group_commit.submit("a"))
    await begun(writer)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(DatabaseUnavailable):
        await asyncio.wait_for(waiting, 0.1)
    writer.gate.set()
