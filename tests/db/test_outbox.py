"""The outbox: owed once, sent in its slot, counted where nobody can know."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from app.db import outbox, pacing
from app.db.engine import Database
from app.db.outbox import Told
from app.db.tables import notifications
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.errors import ClaimLost
from app.domain.notification import (
    Cause,
    ClaimedNotification,
    Owner,
    OwnerMessage,
    Topic,
)
from app.domain.send_policy import Judgement
from app.domain.verdict import Bury, Done, Retry, Verdict
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=60)
RATE = 25


def owed(
    request_id: str = "r1", chat: int | None = 42, kind: Topic = Topic.READY, cause: Cause | None = None
) -> OwnerMessage:
    return OwnerMessage(f"avatar-{request_id}", "Айша 🐘", request_id, kind, Owner("o1", chat, "kk"), cause)


async def put(database: Database, *items: OwnerMessage, seconds: float = 0) -> None:
    source = ClaimedDelivery(
        Claim(7, 1), 0, "r1", b"", START - timedelta(milliseconds=250), START - timedelta(milliseconds=125)
    )
    await database.write(outbox.put, [(item, source) for item in items], START + timedelta(seconds=seconds))


async def claim(
    database: Database, seconds: float = 0, limit: int = 10, rate: float = RATE
) -> list[ClaimedNotification]:
    now = START + timedelta(seconds=seconds)
    return await database.write(outbox.claim, now=now, lease_until=now + LEASE, limit=limit, rate=rate)


async def finish(
    database: Database, *claimed: ClaimedNotification, verdict: Verdict, message_id: int | None = None
) -> None:
    with database.engine.begin() as transaction:
        told = [
            Told(
                item,
                Judgement(verdict, message_id=message_id, uncertain=item.uncertain),
                START + timedelta(seconds=1),
            )
            for item in claimed
        ]
        outbox.finish(transaction, told)


async def rows(database: Database) -> list[dict[str, Any]]:
    with database.engine.connect() as connection:
        return [dict(row) for row in (connection.execute(select(notifications).order_by("id"))).mappings()]


async def test_a_message_is_owed_once_for_ever(database: Database) -> None:
    """The same (avatar, request id, kind) again is dropped, even after the first was sent."""
    await put(database, owed(), owed())
    [claimed] = await claim(database)
    await finish(database, claimed, verdict=Done("sent"), message_id=5)
    await put(database, owed())
    [row] = await rows(database)
    assert (row["state"], row["message_id"]) == ("sent", 5)
    assert await claim(database, seconds=10**6) == []


async def test_two_replicas_owe_one_message(database: Database, replica: Database) -> None:
    """Put at the same moment by both, there is one row."""
    await asyncio.gather(put(database, owed()), put(replica, owed()))
    assert len(await rows(database)) == 1


async def test_another_kind_is_another_message(database: Database) -> None:
    """A failure that turns into a success is told as both."""
    await put(database, owed(kind=Topic.FAILED, cause=Cause.TIMEOUT), owed(kind=Topic.READY))
    assert [row["kind"] for row in await rows(database)] == ["failed", "ready"]


async def test_nothing_owed_writes_nothing(database: Database) -> None:
    """An empty list is no statement at all."""
    await put(database)
    assert await rows(database) == []


async def test_a_claim_tells_all_that_was_put(database: Database) -> None:
    """Notification, moments and a clean count come back as they went in."""
    notification = owed(kind=Topic.FAILED, cause=Cause.NO_FACE)
    await put(database, notification)
    [claimed] = await claim(database)
    assert claimed.notification == notification
    assert (claimed.failures, claimed.uncertain, claimed.claim.attempt) == (0, 0, 1)
    assert (START - claimed.received_at, START - claimed.stored_at) == (
        timedelta(milliseconds=250),
        timedelta(milliseconds=125),
    )
    assert (claimed.applied_at, claimed.send_at) == (START, START)


async def test_without_a_chat_the_message_is_dead_from_the_start(database: Database) -> None:
    """Nobody to send to: the row says so and is never due."""
    await put(database, owed(chat=None))
    [row] = await rows(database)
    assert (row["state"], row["reason"], row["finished_at"]) == ("dead", "no_chat_id", START)
    assert await claim(database, seconds=10**6) == []


async def test_each_claimed_message_has_its_own_slot(database: Database) -> None:
    """At 25 a second they are 40 ms apart, oldest first."""
    await put(database, *(owed(f"r{number}", 100 + number) for number in range(3)))
    claimed = await claim(database)
    assert [item.notification.request_id for item in claimed] == ["r0", "r1", "r2"]
    assert [(item.send_at - START).total_seconds() for item in claimed] == [0, 0.04, 0.08]


async def test_what_lies_beyond_the_horizon_keeps_its_place(database: Database) -> None:
    """No more is claimed than there are slots in HORIZON, so nobody is overtaken by a younger message (fault 43)."""
    await put(database, *(owed(f"r{number}", 100 + number) for number in range(5)))
    claimed = await claim(database, rate=1)
    assert [item.notification.request_id for item in claimed] == ["r0", "r1"]
    waiting = (await rows(database))[2:]
    assert {(row["state"], row["reason"], row["due_at"]) for row in waiting} == {("pending", None, START)}


@pytest.mark.parametrize("column", ["kind", "cause"])
async def test_what_a_newer_version_put_in_is_left_to_it(database: Database, column: str) -> None:
    """Two versions may share the outbox for a while: an unknown word stops nothing that is known."""
    await put(database, owed("r1"), owed("r2", 43))
    with database.engine.begin() as transaction:
        transaction.execute(
            update(notifications).where(notifications.c.request_id == "r1").values({column: "of tomorrow"})
        )
    assert [item.notification.request_id for item in await claim(database)] == ["r2"]


async def test_a_second_message_to_a_chat_is_put_back_for_a_second(database: Database) -> None:
    """One chat, one message a second; the other one is not sent together with it."""
    await put(database, owed("r1"), owed("r2"))
    assert [item.notification.request_id for item in await claim(database)] == ["r1"]
    assert await claim(database, seconds=0.9) == []
    assert [item.notification.request_id for item in await claim(database, seconds=1)] == ["r2"]


async def test_a_message_put_back_is_not_uncertain(database: Database) -> None:
    """It was claimed, but nobody began to send it."""
    await put(database, owed("r1"), owed("r2"))
    await claim(database)
    [second] = await claim(database, seconds=1)
    assert second.uncertain == 0


async def test_a_death_while_sending_is_counted(database: Database) -> None:
    """A claim that finds the last one still under way counts a send of unknown outcome."""
    await put(database, owed())
    await claim(database)
    assert [(item.uncertain, item.is_buried) for item in await claim(database, seconds=60)] == [(1, False)]


async def test_a_message_over_which_processes_die_again_and_again_is_set_aside(database: Database) -> None:
    """The fifth death ends it: the claim itself buries the row, and gives it no slot (fault 1)."""
    await put(database, owed())
    for seconds in range(0, 300, 60):
        assert [item.is_buried for item in await claim(database, seconds=seconds)] == [False]
    assert [(item.uncertain, item.is_buried) for item in await claim(database, seconds=300)] == [(5, True)]
    [row] = await rows(database)
    assert (row["state"], row["reason"], row["finished_at"]) == (
        "dead",
        "outcome_unknown",
        START + timedelta(seconds=300),
    )
    assert await claim(database, seconds=10**6) == []


async def test_what_an_operator_risks_again_is_sent_again(database: Database) -> None:
    """A redriven message of two unknown outcomes is claimed, also after a try that delivered nothing."""
    await put(database, owed())
    with database.engine.begin() as transaction:
        transaction.execute(update(notifications).values(uncertain=2, reason="redriven"))
    [claimed] = await claim(database)
    assert (claimed.uncertain, claimed.is_buried) == (2, False)
    await finish(database, claimed, verdict=Retry(START + timedelta(seconds=5), "telegram_down"))
    assert [item.is_buried for item in await claim(database, seconds=5)] == [False]


async def put_failure_and_success(database: Database) -> ClaimedNotification:
    """A failure that was being sent when its success came."""
    await put(database, owed(kind=Topic.FAILED, cause=Cause.TIMEOUT))
    [failure] = await claim(database)
    await put(database, replace(owed(), overtakes=True), seconds=1)
    return failure


async def test_a_success_waits_for_the_failure_that_is_being_sent(database: Database) -> None:
    """Two processes never send both at once, or "failed" could be read after "ready" (fault 26)."""
    failure = await put_failure_and_success(database)
    assert not await claim(database, seconds=2)
    await finish(database, failure, verdict=Done("sent"), message_id=1)
    assert [item.notification.topic for item in await claim(database, seconds=3)] == [Topic.READY]


async def test_a_success_waits_no_longer_than_the_lease_of_a_failure(database: Database) -> None:
    """Where the process died that was sending it, the failure is closed and the success told (fault 26)."""
    await put_failure_and_success(database)
    assert [item.notification.topic for item in await claim(database, seconds=LEASE.total_seconds())] == [Topic.READY]


async def test_a_failure_that_must_be_sent_again_is_overtaken(database: Database) -> None:
    """Its send came to nothing after the success was owed: nobody hears of it after that (fault 26)."""
    failure = await put_failure_and_success(database)
    await finish(database, failure, verdict=Retry(START + timedelta(seconds=5), "telegram_down"))
    claimed = await claim(database, seconds=5)
    assert [item.notification.topic for item in claimed] == [Topic.READY]
    [row, _] = await rows(database)
    assert (row["state"], row["reason"], row["finished_at"]) == ("ignored", "overtaken", START + timedelta(seconds=5))


@pytest.mark.parametrize("success", ["pending", "sent", "dead"])
async def test_a_redriven_failure_is_overtaken(database: Database, success: str) -> None:
    """An operator who makes an old failure due cannot have it told after the success, told or not (fault 26)."""
    failure = await put_failure_and_success(database)
    await finish(database, failure, verdict=Bury("rejected"))
    with database.engine.begin() as transaction:
        is_ready = notifications.c.kind == Topic.READY
        transaction.execute(update(notifications).where(is_ready).values(state=success))
        transaction.execute(update(notifications).where(~is_ready).values(state="pending", reason="redriven"))
    assert Topic.FAILED not in [item.notification.topic for item in await claim(database, seconds=100)]
    assert [(row["state"], row["reason"]) for row in await rows(database) if row["kind"] == "failed"] == [
        ("ignored", "overtaken")
    ]


async def test_a_death_while_an_overtaken_failure_was_sent_is_counted(database: Database) -> None:
    """It is closed as overtaken, and the send of unknown outcome stays visible."""
    await put_failure_and_success(database)
    await claim(database, seconds=100)
    [row, _] = await rows(database)
    assert (row["state"], row["reason"], row["uncertain"]) == ("ignored", "overtaken", 1)


async def test_another_trainings_success_overtakes_nothing(database: Database) -> None:
    """Only the same avatar and the same request id count."""
    await put(database, owed("r1", 1, Topic.FAILED, Cause.TIMEOUT), owed("r2", 2))
    assert [item.notification.topic for item in await claim(database)] == [Topic.FAILED, Topic.READY]


async def test_an_orderly_retry_is_not_uncertain(database: Database) -> None:
    """Whoever wrote its outcome down leaves nothing to doubt."""
    await put(database, owed())
    [claimed] = await claim(database)
    await finish(database, claimed, verdict=Retry(START + timedelta(seconds=5), "telegram_down"))
    [again] = await claim(database, seconds=5)
    assert (again.uncertain, again.failures) == (0, 1)


async def test_a_late_sender_cannot_write_its_outcome(database: Database) -> None:
    """The fence: after the lease the row is another's, and the late one learns it."""
    await put(database, owed())
    [late] = await claim(database)
    [fresh] = await claim(database, seconds=60)
    with pytest.raises(ClaimLost):
        await finish(database, late, verdict=Done("sent"), message_id=1)
    await finish(database, fresh, verdict=Done("sent"), message_id=2)
    assert [row["message_id"] for row in await rows(database)] == [2]


async def test_a_buried_message_is_not_due(database: Database) -> None:
    """Dead is final until an operator says otherwise, with the reason and the detail to read."""
    await put(database, owed())
    [claimed] = await claim(database)
    await finish(database, claimed, verdict=Bury("owner_unreachable", "Forbidden: bot was blocked by the user"))
    [row] = await rows(database)
    assert (row["state"], row["reason"]) == ("dead", "owner_unreachable")
    assert row["detail"] == "Forbidden: bot was blocked by the user"
    assert await claim(database, seconds=10**6) == []


async def test_a_resting_bot_claims_nothing(database: Database) -> None:
    """While the whole bot is paused rows stay as they are, so that their order is kept."""
    await put(database, owed())
    with database.engine.begin() as transaction:
        pacing.pause(transaction, None, START + timedelta(seconds=30))
    assert await claim(database) == []
    [row] = await rows(database)
    assert (row["attempt"], row["reason"]) == (0, None)
    assert len(await claim(database, seconds=30)) == 1


async def test_two_replicas_never_claim_the_same_message(database: Database, replica: Database) -> None:
    """Claims made at the same moment share nothing: neither a row nor a slot."""
    await put(database, *(owed(f"r{number}", 100 + number) for number in range(10)))
    await claim(database, limit=1)  # the bot's bucket exists from here on
    one, two = await asyncio.gather(claim(database, limit=4), claim(replica, limit=4))
    ids = [item.claim.id for item in one + two]
    assert len(ids) == len(set(ids))
    assert len({item.send_at for item in one + two}) == len(ids)
