"""The inbox and the queue's two statements, on both databases."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from enum import Enum

import pytest
from sqlalchemy import select

from app.db import inbox
from app.db.engine import Database
from app.db.group_commit import GroupCommit
from app.db.inbox import Finished, Receipt
from app.db.tables import deliveries
from app.domain.delivery import ClaimedDelivery
from app.domain.errors import ClaimLost
from app.domain.verdict import Bury, Done, Retry
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=60)
SEED = 20261130


class Nowhere(Enum):
    """A source that no column takes."""

    ELSE = None


async def put(database: Database, *request_ids: str) -> list[Receipt]:
    return list(await database.write(inbox.put, [(delivery(request_id), START) for request_id in request_ids]))


async def claim(database: Database, seconds: float = 0, limit: int = 10) -> list[ClaimedDelivery]:
    now = START + timedelta(seconds=seconds)
    return await database.write(inbox.claim, now=now, lease_until=now + LEASE, limit=limit)


async def finish(database: Database, *finished: Finished) -> None:
    with database.engine.begin() as transaction:
        inbox.finish(transaction, finished, START)


async def test_a_stored_body_is_kept_byte_for_byte(database: Database) -> None:
    """Whatever the bytes are (NUL, bad UTF-8, lone surrogates), they come back as they arrived."""
    body = b'\x00\xff\xfe {"a": "\\ud800"}' + bytes(range(256))
    with database.engine.begin() as transaction:
        inbox.put(transaction, [(delivery("r1", body), START)])
    [claimed] = await claim(database)
    assert (claimed.request_id, claimed.body, claimed.received_at) == ("r1", body, START)


async def test_a_repeat_is_the_same_row(database: Database) -> None:
    """The same request id and body is stored once; the receipt says that it is not new."""
    [first] = await put(database, "r1")
    [second] = await put(database, "r1")
    assert (first.new, second.new, first.id) == (True, False, second.id)


async def test_copies_in_one_group_are_one_row(database: Database) -> None:
    """Copies that arrive together are counted as repeats of the one that is stored."""
    receipts = await put(database, "r1", "r2", "r1")
    assert receipts[0].id == receipts[2].id != receipts[1].id
    assert len(await claim(database)) == 2


async def test_any_mixture_of_new_and_known_deliveries_is_told_apart(database: Database) -> None:
    """Groups of any length, with copies within them and of earlier ones: each receipt names its row and its first."""
    chance = random.Random(SEED)
    rows: dict[str, int] = {}
    copies: Counter[str] = Counter()
    for length in (1, 2, 63, 64, 65, 150, 7):
        group = [f"r{chance.randrange(220)}" for _ in range(length)]
        receipts = await put(database, *group)
        copies.update(group)
        assert [receipt.new for receipt in receipts] == [one not in rows for one in group], f"SEED={SEED}"
        for one, receipt in zip(group, receipts, strict=True):
            assert rows.setdefault(one, receipt.id) == receipt.id
    stored = await database.read(
        lambda connection: connection.execute(
            select(deliveries.c.id, deliveries.c.request_id, deliveries.c.repeats)
        ).all()
    )
    assert {(row_id, one, repeats + 1) for row_id, one, repeats in stored} == {
        (rows[one], one, copies[one]) for one in rows
    }


async def test_a_delivery_that_the_database_refuses_costs_only_its_own(database: Database) -> None:
    """A row that breaks a constraint is told to whoever sent it; those beside it and after it are stored."""
    group_commit = GroupCommit(database, inbox.put, is_one_statement=True)
    writing = asyncio.ensure_future(group_commit.run())
    refused = delivery("r2")._replace(source=Nowhere.ELSE)  # type: ignore[arg-type]  # NULL in its column
    waiting = [group_commit.submit((one, START)) for one in (delivery("r1"), refused, delivery("r3"))]
    first, second, third = await asyncio.gather(*waiting, return_exceptions=True)
    after = await group_commit.submit((delivery("r4"), START))
    group_commit.close()
    await writing
    assert isinstance(second, Exception)
    assert [isinstance(one, Receipt) and one.new for one in (first, third, after)] == [True, True, True]
    assert {one.request_id for one in await claim(database)} == {"r1", "r3", "r4"}


async def test_another_body_is_another_delivery(database: Database) -> None:
    """One request id with two bodies makes two rows."""
    with database.engine.begin() as transaction:
        receipts = inbox.put(transaction, [(delivery("r1", b"a"), START), (delivery("r1", b"b"), START)])
    assert all(receipt.new for receipt in receipts)


async def test_a_claimed_row_is_not_claimed_again(database: Database) -> None:
    """While the lease runs nobody else gets the row."""
    await put(database, "r1")
    assert len(await claim(database)) == 1
    assert await claim(database, seconds=59) == []


async def test_an_ended_lease_makes_the_row_due_again(database: Database) -> None:
    """A worker that died leaves nothing behind but a row that is due; the attempt tells the claims apart."""
    await put(database, "r1")
    [first] = await claim(database)
    [second] = await claim(database, seconds=60)
    assert (first.claim.id, first.claim.attempt, second.claim.attempt) == (second.claim.id, 1, 2)


async def test_a_late_worker_cannot_finish(database: Database) -> None:
    """The fence: whoever lost the lease cannot overwrite what the next worker does, and its whole commit is undone."""
    await put(database, "r1", "r2")
    late = await claim(database)
    [fresh, _] = await claim(database, seconds=61)
    with pytest.raises(ClaimLost):
        await finish(database, *(Finished(item, Done("late"), None) for item in late))
    await finish(database, Finished(fresh, Done("fresh"), "r1"))
    assert await claim(database, seconds=59) == []


async def test_done_and_buried_rows_are_never_due(database: Database) -> None:
    """Final is final."""
    await put(database, "r1", "r2")
    one, two = await claim(database)
    await finish(database, Finished(one, Done("completed"), "r1"), Finished(two, Bury("conflict", "why"), "r2"))
    assert await claim(database, seconds=10**6) == []


async def test_a_retry_is_due_at_its_time(database: Database) -> None:
    """Not a second earlier; and the failure is counted."""
    await put(database, "r1")
    [claimed] = await claim(database)
    await finish(database, Finished(claimed, Retry(START + timedelta(seconds=30), "down"), None))
    assert await claim(database, seconds=29) == []
    [again] = await claim(database, seconds=30)
    assert again.failures == 1


async def test_waiting_is_no_failure(database: Database) -> None:
    """An orphan that waits for its training keeps a clean count."""
    await put(database, "r1")
    [claimed] = await claim(database)
    await finish(database, Finished(claimed, Retry(START, "orphan", failed=False), "r1"))
    [again] = await claim(database)
    assert again.failures == 0


async def test_the_oldest_come_first(database: Database) -> None:
    """A claim takes what has been due longest."""
    for number in range(5):
        with database.engine.begin() as transaction:
            inbox.put(transaction, [(delivery(f"r{number}"), START - timedelta(seconds=number))])
    assert [item.request_id for item in await claim(database, limit=2)] == ["r3", "r4"]
