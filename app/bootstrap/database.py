"""What is looked at before the server begins: whether its database fits."""

from app.catalog import translate
from app.core.config import Settings
from app.db import fitness, schema
from app.db.engine import open_database
from app.domain.errors import DatabaseBehind
from app.domain.language import msgid

BEHIND = msgid("the database is behind this version of the server. Run: aisha-webhook migrate")


async def check_database(settings: Settings) -> None:
    """Refuse a database that this version cannot work on: damaged, closed, behind its migrations, without its tables.

    Raises DatabaseUnfit (DatabaseBehind), or DatabaseUnavailable when it does not answer (DatabaseReadOnly: or writes).
    """
    language = settings.operator_language
    database = open_database(settings.database_url.get_secret_value())
    try:
        await schema.check_soundness(database, language)
        await fitness.check_ground(database, language)
        if await schema.is_behind(database):
            raise DatabaseBehind([translate(BEHIND, language)])
        await fitness.check_tables(database, language)
        await schema.find_bot_tables(database, language)
    finally:
        await database.close()


async def needs_migration(settings: Settings) -> bool:
    """Tell whether our tables are missing or old. Raises DatabaseUnavailable, DatabaseUnfit."""
    database = open_database(settings.database_url.get_secret_value())
    try:
        await fitness.check_ground(database, settings.operator_language)
        return await schema.is_behind(database)
    finally:
        await database.close()
