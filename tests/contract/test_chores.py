"""Periodic work: each tick on exactly one replica."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.db import chores
from app.db.engine import Database
from app.db.tables import chores as table
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(minutes=5)
EVERY = timedelta(hours=1)


async def claim(database: Database, seconds: float = 0, name: str = "prune") -> bool:
    async with database.write() as transaction:
        return await chores.claim(transaction, name, now=START + timedelta(seconds=seconds), lease=LEASE)


async def finish(database: Database, seconds: float = 0) -> None:
    async with database.write() as transaction:
        await chores.finish(transaction, "prune", now=START + timedelta(seconds=seconds), every=EVERY, reason="done")


async def row(database: Database, name: str = "prune") -> dict[str, Any]:
    async with database.read() as connection:
        return dict((await connection.execute(select(table).where(table.c.name == name))).mappings().one())


async def test_a_chore_nobody_ever_did_is_due(database: Database) -> None:
    """The first to ask gets it, and makes its row."""
    assert await claim(database)
    assert (await row(database))["due_at"] == START + LEASE


async def test_one_tick_falls_to_one_replica(database: Database, replica: Database) -> None:
    """Two ask at the same moment for a chore without a row: one gets it."""
    assert sorted(await asyncio.gather(claim(database), claim(replica))) == [False, True]


async def test_each_later_tick_falls_to_one_replica_too(database: Database, replica: Database) -> None:
    """Ten ask at the same moment for a chore that is due again: one gets it."""
    await claim(database)
    await finish(database)
    asked = [claim(side, seconds=3600) for side in (database, replica) for _ in range(5)]
    assert sum(await asyncio.gather(*asked)) == 1


async def test_a_claimed_chore_is_left_alone_while_its_lease_runs(database: Database) -> None:
    """Not a second before the lease ends does anybody else get it."""
    await claim(database)
    assert not await claim(database, seconds=299)


async def test_a_chore_of_a_dead_process_is_due_again(database: Database) -> None:
    """No rescuer: when the lease has ended the next one who asks gets it."""
    await claim(database)
    assert await claim(database, seconds=300)


async def test_a_finished_chore_is_due_at_its_next_tick(database: Database) -> None:
    """The next tick counts from the end of this one."""
    await claim(database)
    await finish(database, seconds=10)
    assert not await claim(database, seconds=3609)
    assert await claim(database, seconds=3610)


async def test_how_it_ended_can_be_read(database: Database) -> None:
    """The row keeps when the last tick ended and how."""
    await claim(database)
    await finish(database, seconds=10)
    assert (await row(database))["reason"] == "done"
    assert (await row(database))["finished_at"] == START + timedelta(seconds=10)


async def test_chores_do_not_wait_for_each_other(database: Database) -> None:
    """Another name is another lease."""
    assert await claim(database)
    assert await claim(database, name="reconcile")


async def test_a_touch_is_a_real_write(database: Database) -> None:
    """Each touch leaves its moment in the row, the first and every later one."""
    for seconds in (0, 5):
        async with database.write() as transaction:
            await chores.touch(transaction, "probe", START + timedelta(seconds=seconds))
        assert (await row(database, "probe"))["finished_at"] == START + timedelta(seconds=seconds)
