"""What an operator does by hand."""

import pytest
from sqlalchemy import text, update

from app.db import operator_queries
from app.db.operator_queries import Queue
from app.db.tables import deliveries, notifications
from app.flows.operate import Operation, operate
from tests.factories import Bot
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio


async def test_a_corrected_chat_id_is_used_after_a_redrive(house: House, bot: Bot) -> None:
    """A message that had nowhere to go finds its owner once users.telegram_id was put right."""
    await bot.train("r1", telegram_id="not a number")
    await house.deliver("r1")
    await house.apply()
    with house.database.engine.begin() as transaction:
        transaction.execute(text("UPDATE users SET telegram_id = '42'"))
    [row] = await house.messages()
    await operate(house.database, house.clock, Queue.NOTIFICATIONS, Operation.REDRIVE, ids=[row["id"]], who="tester")
    await house.tell()
    [row] = await house.messages()
    assert (row["state"], row["chat_id"]) == ("sent", 42)


async def test_an_emptied_row_is_not_redriven(house: House) -> None:
    """What retention has forgotten cannot be applied; the row stays closed and the queue goes on."""
    await house.deliver("r1")
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(state="ignored", body=None))
    changed = await operate(house.database, house.clock, Queue.DELIVERIES, Operation.REDRIVE, ids=[1], who="tester")
    assert changed == []


async def test_a_pending_row_without_a_body_is_buried_and_the_others_go_on(house: House, bot: Bot) -> None:
    """However it came about, one row cannot stop the queue."""
    avatar_id = await bot.train("r2")
    await house.deliver("r1")
    await house.deliver("r2")
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).where(deliveries.c.request_id == "r1").values(body=None))
    await house.apply()
    assert [(row["state"], row["reason"]) for row in await house.rows()] == [
        ("dead", "body_forgotten"),
        ("done", "completed"),
    ]
    assert (await bot.avatar(avatar_id))["word"] == "completed"


async def test_who_and_when_stay_with_the_row(house: House) -> None:
    """An operator's hand is visible afterwards."""
    await house.deliver("r1")
    await operate(house.database, house.clock, Queue.DELIVERIES, Operation.IGNORE, ids=[1], who="tester")
    [row] = await house.database.read(operator_queries.find, Queue.DELIVERIES, "r1")
    assert (row["state"], row["detail"]) == ("ignored", "ignore by tester at 2026-11-22T12:00:00+00:00")


@pytest.mark.parametrize("owner_id", [None, ""])
async def test_a_message_without_an_address_waits_for_one(house: House, bot: Bot, owner_id: str | None) -> None:
    """Redriven before users was put right, or without a users row, it stays dead and visible; the others go on."""
    await bot.train("r1", telegram_id="not a number")
    await bot.train("r2")
    for request_id in ("r1", "r2"):
        await house.deliver(request_id)
    await house.apply()
    with house.database.engine.begin() as transaction:
        transaction.execute(update(notifications).values(state="dead"))
        if owner_id is not None:
            transaction.execute(update(notifications).values(owner_id=owner_id))
    ids = [row["id"] for row in await house.messages()]
    changed = await operate(house.database, house.clock, Queue.NOTIFICATIONS, Operation.REDRIVE, ids=ids, who="tester")
    assert changed == ids[1:]
    assert [(row["state"], row["reason"]) for row in await house.messages()] == [
        ("dead", "no_chat_id"),
        ("pending", "redriven"),
    ]
