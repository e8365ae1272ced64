"""The inbox and the queue's two statements, on both databases."""

from datetime import timedelta

import pytest

from app.db import inbox
from app.db.engine import Database
from app.db.inbox import Finished, Receipt
from app.domain.delivery import ClaimedDelivery
from app.domain.errors import ClaimLost
from app.domain.verdict import Bury, Done, Retry
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=60)


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
