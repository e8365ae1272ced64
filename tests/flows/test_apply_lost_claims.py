"""A delivery that breaks once another process has it: it is that one's, and holds up nothing here."""

import pytest
from sqlalchemy import update

from app.db.tables import deliveries
from app.db.trainings import BotTables
from app.flows import apply
from tests.factories import Bot
from tests.flows.breaking import break_changes_of
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio


async def test_a_broken_delivery_that_another_process_has_claimed_is_left_to_it(
    house: House, bot: Bot, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the lease of a poison row ended before it broke, it is not set aside, and the next one is applied."""
    avatars = {name: await bot.train(name) for name in ("poison", "r2")}
    for name in avatars:
        await house.deliver(name)
    break_changes_of("poison", bot_tables, monkeypatch)

    def claimed_elsewhere(_error: Exception) -> str:
        with house.database.engine.begin() as transaction:
            row = deliveries.c.request_id == "poison"
            transaction.execute(update(deliveries).where(row).values(attempt=deliveries.c.attempt + 1))
        return "its last words"

    monkeypatch.setattr(apply, "last_words", claimed_elsewhere)
    await house.apply()
    assert (await bot.avatar(avatars["r2"]))["word"] == "completed"
    [poison, _] = await house.rows()
    assert (poison["state"], poison["reason"], poison["failures"]) == ("pending", None, 0)
