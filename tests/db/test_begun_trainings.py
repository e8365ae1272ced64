"""What an avatar's row must allow before fal is asked for its training."""

from typing import Any

import pytest
from sqlalchemy.engine import Connection

from app.db.begun_trainings import BEGUN, unwritable
from app.db.engine import Database
from app.db.trainings import BotTables

pytestmark = pytest.mark.anyio


def without_rights(connection: Connection, tables: BotTables, *, granted: str) -> Any:
    """Ask as a role that may do nothing but what is granted; all is undone with the transaction."""
    for statement in (
        "CREATE ROLE narrow NOLOGIN",
        "GRANT USAGE ON SCHEMA public TO narrow",
        f"GRANT {granted} ON avatars TO narrow",
        "SET LOCAL ROLE narrow",
    ):
        connection.exec_driver_sql(statement)
    found = unwritable(connection, tables)
    connection.exec_driver_sql("RESET ROLE")
    connection.exec_driver_sql("DROP OWNED BY narrow")
    connection.exec_driver_sql("DROP ROLE narrow")
    return found


async def test_the_servers_own_role_may_write_what_begins(database: Database, bot_tables: BotTables) -> None:
    """With rights on the whole table nothing is in the way; SQLite knows none."""
    assert await database.read(unwritable, bot_tables) == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_columns_that_lack_a_right_are_named(database: Database, bot_tables: BotTables) -> None:
    """A role with rights on some columns only is told which are missing, before anything is sent."""
    granted = "SELECT, UPDATE (status, training_progress)"
    found = await database.write(without_rights, bot_tables, granted=granted)
    assert set(found) >= set(BEGUN) - {"status", "training_progress"}
    assert not {"status", "training_progress"} & set(found)
