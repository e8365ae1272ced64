"""The operator's desk: look, redrive, ignore."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.db import inbox, operator_queries, outbox, retention
from app.db.engine import Database
from app.db.inbox import Finished
from app.db.operator_queries import Queue
from app.db.tables import deliveries, notifications
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.errors import ClaimLost
from app.domain.notification import ClaimedNotification, Owner, OwnerMessage, Topic
from app.domain.verdict import Done
from tests.factories import delivery, ok_body
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=60)
NOW = START + timedelta(hours=1)
NOTE = "redrive by aisha at noon"


async def store(database: Database, *states: str) -> list[int]:
    """Deliveries r0, r1, … in these states, failed twice and due tomorrow; return their ids."""
    with database.engine.begin() as transaction:
        receipts = inbox.put(transaction, [(delivery(f"r{number}"), START) for number in range(len(states))])
        for receipt, state in zip(receipts, states, strict=True):
            transaction.execute(
                update(deliveries)
                .where(deliveries.c.id == receipt.id)
                .values(
                    state=state,
                    reason="conflict",
                    failures=2,
                    due_at=START + timedelta(days=1),
                    finished_at=None if state == "pending" else START,
                    fal_request_id=f"body-{receipt.id}",
                )
            )
    return [receipt.id for receipt in receipts]


async def owe(database: Database, *states: str) -> list[int]:
    with database.engine.begin() as transaction:
        items = [
            (
                OwnerMessage("a1", "Айша", f"r{number}", Topic.READY, Owner("o1", 100 + number, "ru")),
                ClaimedDelivery(Claim(1, 1), 0, "r1", b"", START, START),
            )
            for number in range(len(states))
        ]
        outbox.put(transaction, items, START)
        found = select(notifications.c.id).order_by(notifications.c.id)
        ids = list((transaction.execute(found)).scalars())
        for row_id, state in zip(ids, states, strict=True):
            transaction.execute(update(notifications).where(notifications.c.id == row_id).values(state=state))
    return ids


async def redrive(database: Database, ids: list[int], queue: Queue = Queue.DELIVERIES) -> list[int]:
    with database.engine.begin() as transaction:
        return operator_queries.redrive(transaction, queue, ids, note=NOTE, now=NOW)


async def ignore(database: Database, ids: list[int], queue: Queue = Queue.DELIVERIES) -> list[int]:
    with database.engine.begin() as transaction:
        return operator_queries.ignore(transaction, queue, ids, note="ignore by aisha", now=NOW)


async def claim(database: Database, after: timedelta = timedelta()) -> list[ClaimedDelivery]:
    now = NOW + after
    with database.engine.begin() as transaction:
        return inbox.claim(transaction, now=now, lease_until=now + LEASE, limit=10)


async def claim_messages(database: Database, after: timedelta = timedelta()) -> list[ClaimedNotification]:
    now = NOW + after
    with database.engine.begin() as transaction:
        return outbox.claim(transaction, now=now, lease_until=now + LEASE, limit=10, rate=0)


async def one(database: Database, row_id: int, queue: Queue = Queue.DELIVERIES) -> dict[str, Any]:
    [row] = await database.read(operator_queries.find, queue, str(row_id))
    return row


async def test_the_newest_are_listed_first_and_without_bodies(database: Database) -> None:
    """A list is for the eye: no body, no headers, no traceback."""
    await store(database, "done", "dead", "pending")
    listed = await database.read(operator_queries.recent, Queue.DELIVERIES, state=None, limit=2)
    assert [row["request_id"] for row in listed] == ["r2", "r1"]
    assert not {"body", "headers", "detail"} & set(listed[0])


async def test_a_list_can_be_of_one_state(database: Database) -> None:
    """Only the dead, where they are asked for; in both queues."""
    await store(database, "done", "dead", "pending")
    await owe(database, "sent", "dead")
    for queue in operator_queries.CHANGEABLE:
        listed = await database.read(operator_queries.recent, queue, state="dead", limit=10)
        assert [row["request_id"] for row in listed] == ["r1"]


@pytest.mark.parametrize("spelling", ["{id}", "r0", "body-{id}"])
async def test_a_delivery_is_found_by_any_of_its_names(database: Database, spelling: str) -> None:
    """Our id, the header's request id and the body's lead to the same row, whole."""
    [row_id] = await store(database, "dead")
    [row] = await database.read(operator_queries.find, Queue.DELIVERIES, spelling.format(id=row_id))
    assert (row["id"], row["body"]) == (row_id, ok_body("r0"))


@pytest.mark.parametrize("key", ["", "0", "-1", "٣", "9" * 18, "9" * 19, "9" * 400, "r0' OR 1=1", "%", "\u202e"])
async def test_a_key_that_names_nothing_finds_nothing(database: Database, key: str) -> None:
    """Whatever an operator pastes is compared, not interpreted."""
    await store(database, "dead")
    assert await database.read(operator_queries.find, Queue.DELIVERIES, key) == []


@pytest.mark.parametrize("state", ["pending", "dead", "ignored"])
async def test_redriven_deliveries_are_due_at_once(database: Database, state: str) -> None:
    """Pending, not finished, a clean count, and the note of who did it."""
    [row_id] = await store(database, state)
    assert await redrive(database, [row_id]) == [row_id]
    row = await one(database, row_id)
    assert (row["state"], row["reason"], row["detail"], row["finished_at"]) == ("pending", "redriven", NOTE, None)
    [claimed] = await claim(database)
    assert (claimed.claim.id, claimed.failures) == (row_id, 0)


async def test_what_is_done_is_not_redone(database: Database) -> None:
    """A finished delivery and a sent message stay what they are, whoever asks."""
    [done] = await store(database, "done")
    [sent] = await owe(database, "sent")
    for change in (redrive, ignore):
        assert await change(database, [done]) == []
        assert await change(database, [sent], Queue.NOTIFICATIONS) == []
    assert (await one(database, done))["reason"] == "conflict"
    assert await claim_messages(database) == []


@pytest.mark.parametrize("state", ["dead", "unsent", "ignored"])
async def test_unsent_messages_are_sent_again(database: Database, state: str) -> None:
    """What did not reach its owner may be tried again."""
    [row_id] = await owe(database, state)
    assert await redrive(database, [row_id], Queue.NOTIFICATIONS) == [row_id]
    assert [item.claim.id for item in await claim_messages(database)] == [row_id]


@pytest.mark.parametrize("state", ["pending", "dead"])
async def test_ignored_deliveries_are_never_due(database: Database, state: str) -> None:
    """Closed for good, with the note and the moment; the reason it was buried for stays readable."""
    [row_id] = await store(database, state)
    assert await ignore(database, [row_id]) == [row_id]
    row = await one(database, row_id)
    assert (row["state"], row["reason"], row["detail"]) == ("ignored", "conflict", "ignore by aisha")
    assert row["finished_at"] == NOW
    assert await claim(database, timedelta(days=9)) == []


async def test_of_many_only_those_are_changed_that_may_be(database: Database) -> None:
    """The answer names exactly the changed ones."""
    ids = await store(database, "done", "dead", "pending", "ignored")
    assert await ignore(database, ids) == ids[1:3]
    assert await redrive(database, ids) == ids[1:]
    assert await redrive(database, []) == []


async def test_a_redrive_takes_the_row_from_whoever_works_on_it(database: Database) -> None:
    """The fence: a worker that holds a claim can no longer finish it, and the row is claimed anew."""
    [row_id] = await store(database, "pending")
    await redrive(database, [row_id])
    [held] = await claim(database)
    await redrive(database, [row_id])
    with pytest.raises(ClaimLost), database.engine.begin() as transaction:
        inbox.finish(transaction, [Finished(held, Done("late"), None)], NOW)
    assert len(await claim(database)) == 1


async def test_an_ignored_row_stays_ignored_under_a_late_worker(database: Database) -> None:
    """The operator's word outlasts a claim that was made before."""
    [row_id] = await store(database, "pending")
    await redrive(database, [row_id])
    [held] = await claim(database)
    await ignore(database, [row_id])
    with pytest.raises(ClaimLost), database.engine.begin() as transaction:
        inbox.finish(transaction, [Finished(held, Done("late"), None)], NOW)
    assert (await one(database, row_id))["state"] == "ignored"


async def set_columns(database: Database, queue: Queue, row_id: int, **columns: Any) -> None:
    table = {Queue.DELIVERIES: deliveries, Queue.NOTIFICATIONS: notifications}[queue]
    with database.engine.begin() as transaction:
        transaction.execute(update(table).where(table.c.id == row_id).values(**columns))


@pytest.mark.parametrize("closed", [False, True])
async def test_a_message_under_way_is_left_alone(database: Database, *, closed: bool) -> None:
    """While its send may still be under way a redrive sends no copy, even where the row was ignored meanwhile (I3)."""
    [row_id] = await owe(database, "pending")
    await claim_messages(database)
    if closed:
        await ignore(database, [row_id], Queue.NOTIFICATIONS)
    assert await redrive(database, [row_id], Queue.NOTIFICATIONS) == []
    assert await claim_messages(database) == []


async def test_a_redrive_after_a_send_that_died_is_counted_as_uncertain(database: Database) -> None:
    """The lease is over, the message may have been sent: one more may reach the owner, and it is counted (I3)."""
    [row_id] = await owe(database, "pending")
    await claim_messages(database, -LEASE)
    assert await redrive(database, [row_id], Queue.NOTIFICATIONS) == [row_id]
    [claimed] = await claim_messages(database)
    assert claimed.uncertain == 1


async def test_what_was_overtaken_is_not_redriven(database: Database) -> None:
    """A failure that a success overtook is not told after it, whoever asks (fault 26)."""
    [row_id] = await owe(database, "ignored")
    await set_columns(database, Queue.NOTIFICATIONS, row_id, reason="overtaken", kind="failed")
    assert await redrive(database, [row_id], Queue.NOTIFICATIONS) == []


@pytest.mark.parametrize("state", ["dead", "pending", "unsent", "ignored"])
async def test_a_message_about_an_unnamed_avatar_is_no_emptied_one(database: Database, state: str) -> None:
    """Avatars may be without a name: their messages are redriven and ignored like all others."""
    [row_id] = await owe(database, state)
    await set_columns(database, Queue.NOTIFICATIONS, row_id, avatar_name="")
    if state != "ignored":
        assert await ignore(database, [row_id], Queue.NOTIFICATIONS) == [row_id]
    assert await redrive(database, [row_id], Queue.NOTIFICATIONS) == [row_id]


@pytest.mark.parametrize("state", ["unsent", "ignored"])
async def test_a_message_that_retention_emptied_is_not_redriven(database: Database, state: str) -> None:
    """What it was about is forgotten; ignoring it changes nothing about that."""
    [row_id] = await owe(database, state)
    await set_columns(database, Queue.NOTIFICATIONS, row_id, finished_at=START)
    with database.engine.begin() as transaction:
        assert retention.prune(transaction, NOW, 10) == 1
    await ignore(database, [row_id], Queue.NOTIFICATIONS)
    assert await redrive(database, [row_id], Queue.NOTIFICATIONS) == []


@pytest.mark.parametrize("state", ["pending", "dead"])
async def test_a_delivery_without_a_body_can_be_ignored_only(database: Database, state: str) -> None:
    """There is nothing to apply: redriving it would bury it again, ignoring it ends its alert."""
    [row_id] = await store(database, state)
    await set_columns(database, Queue.DELIVERIES, row_id, body=None)
    assert await redrive(database, [row_id]) == []
    assert await ignore(database, [row_id]) == [row_id]
