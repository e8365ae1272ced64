"""What the server makes of a row that an operator redrove or ignored."""

from datetime import timedelta

import pytest

from app.db.operator_queries import Queue
from app.domain.send_outcome import Unreachable
from app.flows.operate import Operation, operate
from app.flows.prune import Prune
from tests.factories import Bot, error_body, ok_body
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio

DAY = 24 * 3600


async def do(house: House, operation: Operation, queue: Queue = Queue.DELIVERIES, *ids: int) -> list[int]:
    return await operate(house.database, house.clock, queue, operation, ids=ids or (1,), who="aisha")


async def test_the_row_says_who_did_what_and_when(house: House) -> None:
    """An operator's word is signed and dated."""
    await house.deliver("r1")
    await do(house, Operation.IGNORE)
    [row] = await house.rows()
    assert row["detail"] == "ignore by aisha at 2026-11-22T12:00:00+00:00"


async def test_a_buried_orphan_is_applied_once_its_training_is_there(house: House, bot: Bot) -> None:
    """The bot wrote its id a day too late; the operator redrives, the owner is told."""
    await house.deliver("r1")
    house.clock.move(DAY)
    await house.apply()
    avatar_id = await bot.train("r1")
    assert await do(house, Operation.REDRIVE) == [1]
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    assert len(await house.messages()) == 1


async def test_a_redriven_conflict_takes_no_success_back(house: House, bot: Bot) -> None:
    """The rule that buried it buries it again (fault 26)."""
    avatar_id = await bot.train("r1")
    await house.deliver("r1", ok_body("r1"))
    await house.apply()
    await house.deliver("r1", error_body("r1"))
    await house.apply()
    assert await do(house, Operation.REDRIVE, Queue.DELIVERIES, 2) == [2]
    await house.apply()
    assert (await house.rows())[1]["state"] == "dead"
    assert (await bot.avatar(avatar_id))["word"] == "completed"


async def test_what_is_applied_is_not_applied_again(house: House, bot: Bot) -> None:
    """A done delivery cannot be redriven, and so nobody is told twice."""
    await bot.train("r1")
    await house.deliver("r1")
    await house.apply()
    assert await do(house, Operation.REDRIVE) == []
    assert await house.apply() == 0


async def test_an_ignored_delivery_changes_nothing(house: House, bot: Bot) -> None:
    """Closed before it was applied, it never is."""
    avatar_id = await bot.train("r1")
    await house.deliver("r1")
    assert await do(house, Operation.IGNORE) == [1]
    house.clock.move(DAY)
    assert await house.apply() == 0
    assert (await bot.avatar(avatar_id))["word"] == "training"


async def test_a_message_is_sent_when_its_owner_is_back(house: House, bot: Bot) -> None:
    """Blocked, buried, redriven, told once."""
    await bot.train("r1")
    await house.deliver("r1")
    await house.apply()
    house.messenger.outcomes = [Unreachable("blocked", blocked=True)]
    await house.tell()
    assert await do(house, Operation.REDRIVE, Queue.NOTIFICATIONS) == [1]
    house.clock.move(1)
    await house.tell()
    assert [row["state"] for row in await house.messages()] == ["sent"]


async def test_a_sent_message_stays_sent(house: House, bot: Bot) -> None:
    """No key of the operator's sends it twice."""
    await bot.train("r1")
    await house.deliver("r1")
    await house.apply()
    await house.tell()
    for operation in Operation:
        assert await do(house, operation, Queue.NOTIFICATIONS) == []
    house.clock.move(DAY)
    await house.tell()
    assert len(house.messenger.sent) == 1


async def test_what_retention_forgot_is_not_redriven(house: House, bot: Bot) -> None:
    """Ignored, forgotten after RETENTION_DAYS, then redriven: it stays as it is, and the next one is applied."""
    await house.deliver("r1")
    await do(house, Operation.IGNORE)
    house.clock.move(31 * DAY)
    await Prune(house.database, house.clock, timedelta(days=30))()
    assert await do(house, Operation.REDRIVE) == []
    avatar_id = await bot.train("r2")
    await house.deliver("r2")
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "completed"
