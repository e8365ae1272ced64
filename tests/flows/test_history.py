"""What flows leave in the history."""

import pytest
from sqlalchemy import select

from app.db.operator_queries import Queue
from app.db.story import read_story
from app.db.tables import events
from app.db.trainings import BotTables
from app.flows.operate import Operation, operate
from tests.factories import INVENTED, Bot
from tests.fakes import START
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio


def kinds(house: House) -> list[tuple[str, str | None]]:
    with house.database.engine.connect() as connection:
        found = select(events.c.kind, events.c.reason).order_by(events.c.id)
        return [(kind, reason) for kind, reason in connection.execute(found)]


async def test_a_delivery_is_applied_and_told(house: House, bot: Bot) -> None:
    """One line for the change, one for the message."""
    await bot.train("r1")
    await house.deliver("r1")
    await house.apply()
    await house.tell()
    assert [kind for kind, _ in kinds(house)] == ["applied", "told"]


async def test_an_orphan_that_waits_does_not_flood_the_history(house: House) -> None:
    """It has a line when it begins to wait, none for each look, and one when it is buried."""
    await house.deliver("r1")
    for _ in range(20):
        await house.apply()
        house.clock.move(30)
    house.clock.move(25 * 3600)
    await house.apply()
    assert kinds(house) == [("postponed", "orphan"), ("buried", "orphan")]


async def test_why_tells_what_an_operator_did(house: House, bot_tables: BotTables) -> None:
    """The story names who had a row tried again, and why."""
    await house.deliver("r1")
    house.clock.move(25 * 3600)
    await house.apply()
    ids = [row["id"] for row in await house.rows()]
    deliveries = Queue.DELIVERIES
    await operate(house.database, house.clock, deliveries, Operation.REDRIVE, ids=ids, who="op", why="row came late")
    facts = await house.database.write(read_story, bot_tables, INVENTED, "r1", has_token=True, now=START)
    assert [(event.kind, event.who, event.why) for event in facts.events] == [
        ("buried", None, None),
        ("redriven", "op", "row came late"),
    ]
