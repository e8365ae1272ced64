"""The migration that brings the totals counts what is there already."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import insert, update

from app.db import inbox, totals
from app.db.engine import Database
from app.db.migrate import ROOT, migrate
from app.db.tables import deliveries, notifications
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio


def configured(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(ROOT) / "migrations"))
    config.attributes["database_url"] = url
    return config


async def test_what_is_there_is_counted_once(database: Database, database_url: str) -> None:
    """Rows of every state, stored before the migration, are in the totals after it; going back and forth adds none."""
    await database.statement(inbox.put, [(delivery(f"r{number}"), START) for number in (1, 2, 3, 3)])
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).where(deliveries.c.request_id == "r1").values(state="done"))
        message = {"state": "sent", "due_at": START, "delivery_id": 1, "avatar_id": "a", "request_id": "r1"}
        about = {"kind": "ready", "avatar_name": "", "owner_id": "o", "language": "ru"}
        moments = dict.fromkeys(("received_at", "stored_at", "applied_at"), START)
        transaction.execute(insert(notifications).values(**message, **about, **moments))
    await database.close()
    command.downgrade(configured(database_url), "0004")
    migrate(database_url)
    found = {name: amount for name, amount in (await database.read(totals.read)).items() if amount}
    assert found == {"deliveries.pending": 2, "deliveries.done": 1, "duplicates": 1, "notifications.sent": 1}
    for queue in totals.STATES:
        assert await database.read(totals.differences, queue) == {}
