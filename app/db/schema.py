"""Whether the database is what this version of the server needs."""

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection

from app.db.engine import Database
from app.db.tables import HEAD, VERSION_TABLE
from app.db.trainings import BotTables


async def current_version(database: Database) -> str | None:
    """Return the migration that the database is at, or None for a database we never touched."""
    async with database.read() as connection:
        return await connection.run_sync(_version)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar_one_or_none()  # noqa: S608  a constant


async def is_behind(database: Database) -> bool:
    """Tell whether migrations are missing."""
    return await current_version(database) != HEAD


async def find_bot_tables(database: Database) -> BotTables:
    """Look the bot's tables up. Raises DatabaseUnfit naming what is missing."""
    async with database.read() as connection:
        return await BotTables.find(connection)
