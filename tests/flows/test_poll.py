"""The poll finds what no wake-up told of."""

from datetime import timedelta

import pytest

from app.db import outbox, queue
from app.db.engine import Database
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.notification import Owner, OwnerMessage, Topic
from app.flows.poll import CLAIMED, QUEUES, Poll
from tests.factories import ok_body
from tests.fakes import START, FrozenClock
from tests.flows.conftest import House
from tests.job_facts import add_job

pytestmark = pytest.mark.anyio


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def poll(database: Database, clock: FrozenClock, woken: list[str]) -> Poll:
    return Poll(
        database,
        clock,
        wake_apply=lambda: woken.append("apply"),
        wake_notify=lambda: woken.append("notify"),
        wake_reconcile=lambda: woken.append("reconcile"),
    )


async def owe(database: Database) -> None:
    """A message due now."""
    notification = OwnerMessage("a1", "Айша", "r1", Topic.READY, Owner("o1", 42, "kk"))
    with database.engine.begin() as transaction:
        outbox.put(transaction, [(notification, ClaimedDelivery(Claim(7, 1), 0, "r1", b"", START, START))], START)


async def test_nothing_due_wakes_nobody(poll: Poll, woken: list[str]) -> None:
    """Empty queues are left alone."""
    await poll()
    assert woken == []


async def test_a_due_delivery_wakes_apply(house: House, poll: Poll, woken: list[str]) -> None:
    """Only the queue that has work."""
    await house.deliver("r1")
    await poll()
    assert woken == ["apply"]


async def test_a_due_message_wakes_notify(database: Database, poll: Poll, woken: list[str]) -> None:
    """Only the queue that has work."""
    await owe(database)
    await poll()
    assert woken == ["notify"]


@pytest.mark.parametrize("header", ["r1", "attempt-2"])
async def test_a_job_whose_delivery_waits_wakes_nobody(
    house: House, poll: Poll, clock: FrozenClock, woken: list[str], header: str
) -> None:
    """It is not asked about before the delivery is applied, whether its header names the request or the attempt."""
    add_job(house.database, "r1", kind="training")
    gateway = f'"gateway_request_id": "{header}"'.encode()
    await house.deliver(header, ok_body("r1").replace(b'"gateway_request_id": "r1"', gateway))  # no such training
    await house.apply()
    await poll()
    assert woken == []


async def test_a_due_job_wakes_reconcile(database: Database, poll: Poll, woken: list[str]) -> None:
    """Only the queue that has work."""
    add_job(database, "r1", kind="training")
    await poll()
    assert woken == ["reconcile"]


async def test_what_is_claimed_is_due_again_after_its_lease(
    house: House, poll: Poll, clock: FrozenClock, woken: list[str]
) -> None:
    """A claimed row is nobody's work until its lease has run out, not a moment longer."""
    await house.deliver("r1")  # no such training: postponed
    await house.apply()
    [row] = await house.rows()
    clock.at = row["due_at"] - timedelta(microseconds=1)
    await poll()
    assert woken == []
    clock.at = row["due_at"]
    await poll()
    assert woken == ["apply"]


async def test_the_look_has_the_moment_alone_as_a_parameter() -> None:
    """SQLite plans a statement anew each time where a parameter decides which partial index serves."""
    look = queue._look(QUEUES, tuple(CLAIMED.get(table, ()) for table in QUEUES))
    assert set(look.compile().params) == {"now"}
