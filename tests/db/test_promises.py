"""The words that wait stand in the outbox: with the owner's zone and the avatar's type, and never claimed too early."""

from datetime import timedelta
from typing import Any

import pytest

from app.db import outbox
from app.db.engine import Database
from app.db.owed import Owed
from app.db.trainings import BotTables
from app.domain.notification import Cause, OwnerMessage, Topic
from app.domain.promise import HELD_FOR, Hold
from app.domain.trainer import Trainer
from tests.factories import Bot
from tests.fakes import START

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


async def owed(database: Database, bot_tables: BotTables, request_id: str, **message: Any) -> None:
    """Owe a message about a training as its row has it."""
    with database.engine.begin() as connection:
        [training] = bot_tables.lock(connection, [request_id]).trainings[request_id]
        item = OwnerMessage(
            training.avatar_id, training.name, request_id, owner=training.owner, trainer=training.trainer, **message
        )
        outbox.owe(connection, [Owed(item, 1, START, START)], START)


async def test_a_message_keeps_the_owners_zone_and_the_avatars_type(
    database: Database, bot: Bot, bot_tables: BotTables
) -> None:
    """What was read when it was owed is there when it is sent."""
    await bot.train("r1", trainer="style")
    await owed(database, bot_tables, "r1", topic=Topic.READY)
    with database.engine.begin() as connection:
        [claimed] = outbox.claim(connection, now=START, lease_until=START + HOUR, limit=9, rate=25)
    note = claimed.notification
    assert isinstance(note, OwnerMessage)
    assert (note.trainer, note.owner.timezone) == (Trainer.STYLE, "UTC+5")


async def test_what_is_held_is_never_claimed(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """However late it is, a message that waits for its condition is not sent, and does not keep others out."""
    await bot.train("r1")
    await bot.train("r2")
    await owed(database, bot_tables, "r1", topic=Topic.FAILED, cause=Cause.OUR_ACCOUNT)
    await owed(database, bot_tables, "r1", topic=Topic.ACCOUNT_BACK)
    await owed(database, bot_tables, "r2", topic=Topic.READY)
    with database.engine.begin() as connection:
        late = START + 4 * HELD_FOR
        claimed = outbox.claim(connection, now=late, lease_until=late + HOUR, limit=9, rate=25)
        rows = connection.exec_driver_sql("SELECT reason FROM webhook_notifications ORDER BY id").all()
    assert [one.notification.request_id for one in claimed] == ["r2"]
    assert [row[0] for row in rows] == [Hold.ALERT, Hold.ACCOUNT, "sending"]


async def test_an_owner_without_a_zone_column(database: Database, bot: Bot) -> None:
    """A revision of the bot without users.timezone serves as well; the owner's zone is then the default one."""
    await bot.train("r1")
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE users DROP COLUMN timezone")
        tables = BotTables.find(connection)
        [training] = tables.lock(connection, ["r1"]).trainings["r1"]
        connection.exec_driver_sql("ALTER TABLE users ADD COLUMN timezone varchar(32) DEFAULT 'UTC+5'")
    assert training.owner.timezone == ""
