"""Periodic work: each tick on exactly one replica."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from app.db import chores, inbox, outbox
from app.db.engine import Database
from app.db.tables import chores as table
from app.db.tables import deliveries, notifications
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.notification import Owner, OwnerMessage, Topic
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(minutes=5)
EVERY = HOUR = timedelta(hours=1)


async def claim(database: Database, seconds: float = 0, name: str = "prune") -> bool:
    return await database.write(chores.claim, name, now=START + timedelta(seconds=seconds), lease=LEASE, every=EVERY)


async def finish(database: Database, seconds: float = 0) -> None:
    with database.engine.begin() as transaction:
        chores.finish(transaction, "prune", now=START + timedelta(seconds=seconds), every=EVERY, reason="done")


async def row(database: Database, name: str = "prune") -> dict[str, Any]:
    with database.engine.connect() as connection:
        return dict((connection.execute(select(table).where(table.c.name == name))).mappings().one())


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
        with database.engine.begin() as transaction:
            chores.touch(transaction, "probe", START + timedelta(seconds=seconds))
        assert (await row(database, "probe"))["finished_at"] == START + timedelta(seconds=seconds)


@pytest.mark.parametrize("back", [timedelta(hours=5), timedelta(days=365)])
async def test_a_chore_is_due_again_when_the_clock_stepped_back(database: Database, back: timedelta) -> None:
    """A tick that lies further ahead than any is ever set was set by a clock that was wrong (fault 15)."""
    await claim(database)
    await finish(database)
    assert await claim(database, seconds=-back.total_seconds())
    assert not await claim(database, seconds=-back.total_seconds())


async def test_a_replica_whose_clock_is_a_little_behind_waits(database: Database) -> None:
    """Two clocks are never equal: a minute's difference makes no chore due before its time."""
    await claim(database)
    await finish(database)
    assert not await claim(database, seconds=-60)


async def queue_up(database: Database, **dues: timedelta) -> None:
    """Deliveries by request id that are due so much after START."""
    with database.engine.begin() as transaction:
        for request_id, due in dues.items():
            inbox.put(transaction, [(delivery(request_id), START)])
            transaction.execute(
                update(deliveries).where(deliveries.c.request_id == request_id).values(due_at=START + due)
            )


async def owe(database: Database, **dues: tuple[str, timedelta]) -> None:
    """Messages by request id: why they wait, and how long after START they are due."""
    with database.engine.begin() as transaction:
        for request_id, (reason, due) in dues.items():
            item = OwnerMessage("a1", "Айша", request_id, Topic.READY, Owner("o1", 42, "ru"))
            source = ClaimedDelivery(Claim(1, 1), 0, request_id, b"", START, START)
            outbox.put(transaction, [(item, source)], START)
            transaction.execute(
                update(notifications)
                .where(notifications.c.request_id == request_id)
                .values(reason=reason, due_at=START + due)
            )


async def pull_back(database: Database) -> int:
    with database.engine.begin() as transaction:
        return chores.pull_back(transaction, START)


async def dues(database: Database, queue: Table) -> dict[str, timedelta]:
    with database.engine.connect() as connection:
        return {row.request_id: row.due_at - START for row in connection.execute(select(queue))}


async def test_deliveries_of_a_clock_that_stepped_back_are_due_at_once(database: Database) -> None:
    """What waits longer than anything ever does was put off by a wrong clock; the longest lease stays (fault 15)."""
    await queue_up(database, due=-HOUR, leased=HOUR, lost=5 * HOUR, ended=5 * HOUR)
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).where(deliveries.c.request_id == "ended").values(state="done"))
    assert await pull_back(database) == 1
    assert await dues(database, deliveries) == {
        "due": -HOUR,
        "leased": HOUR,
        "lost": timedelta(),
        "ended": 5 * HOUR,
    }
    assert await pull_back(database) == 0


async def test_messages_of_a_clock_that_stepped_back_are_due_soon(database: Database) -> None:
    """The same; but Telegram may ask for a day's rest, and a send under way is given a minute to end (fault 15)."""
    await owe(
        database,
        down=("telegram_down", 5 * HOUR),
        sending=("sending", 5 * HOUR),
        slow=("slow_down", 20 * HOUR),
        paced=("paced", 20 * HOUR),
        slower=("slow_down", 48 * HOUR),
    )
    assert await pull_back(database) == 3
    assert await dues(database, notifications) == {
        "down": timedelta(),
        "sending": timedelta(minutes=1),
        "slow": 20 * HOUR,
        "paced": 20 * HOUR,
        "slower": timedelta(),
    }
