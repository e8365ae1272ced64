"""Whether the database is what this version of the server needs."""

import re
from pathlib import Path
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DatabaseError, OperationalError

from app.catalog import translate
from app.db.engine import Database
from app.db.tables import HEAD, VERSION_TABLE
from app.db.trainings import BotTables, missing_columns
from app.domain.errors import DatabaseUnavailable, DatabaseUnfit
from app.domain.language import Language, msgid

VERSION = re.compile(r"\d{4}")
CHECKED_BYTES = 1 << 30  # bytes; checking a larger file would delay the start for too long
RESTORE = "mv {path} {path}.damaged; rm -f {path}-wal {path}-shm; cp data/backups/aisha-<…>.db {path}"
RECOVER = "sqlite3 {path} .recover | sqlite3 {path}.recovered"
DAMAGED = (
    msgid("{path}: the database file is damaged ({verdict})"),
    msgid("restore the newest backup while the server is stopped: {restore}"),
    msgid("without a backup, save what can be read: {recover}"),
)
MISSING = msgid("missing in the database: {name}")
NOT_THE_BOTS = msgid("point DATABASE_URL at the bot's database, or migrate the bot first")


def versions_of(connection: Connection) -> list[str]:
    """Return what the version table holds: one migration's number, unless somebody wrote into it."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return []
    statement = text(f"SELECT version_num FROM {VERSION_TABLE} ORDER BY 1")  # noqa: S608  a constant  # nosec B608
    return list(connection.execute(statement).scalars())


def version_of(connection: Connection) -> str | None:
    """Return the migration that the database is at, or None for a database we never touched."""
    return max(versions_of(connection), default=None)


async def check_soundness(database: Database, language: Language = "en") -> None:
    """Look a SQLite file through before it is used. Raises DatabaseUnfit with what to do about a damaged one."""
    path = database.engine.url.database or ""
    if not database.is_sqlite or not _is_worth_checking(Path(path)):
        return
    try:
        verdict = await database.read(_quick_check)
    except DatabaseUnavailable as error:
        cause = error.__cause__
        if isinstance(cause, OperationalError) or not isinstance(cause, DatabaseError):
            raise  # locked or out of reach is not damaged
        verdict = str(cause.orig)
    except DatabaseError as error:
        verdict = str(error.orig)
    verdict = " ".join(str(verdict).split())
    if verdict != "ok":
        raise DatabaseUnfit(_damaged(path, verdict, language))


def _damaged(path: str, verdict: str, language: Language) -> list[str]:
    restore, recover = RESTORE.format(path=path), RECOVER.format(path=path)
    return [
        translate(line, language).format(path=path, verdict=verdict, restore=restore, recover=recover)
        for line in DAMAGED
    ]


def _quick_check(connection: Connection) -> Any:
    return connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()


def _is_worth_checking(path: Path) -> bool:
    return path.exists() and path.stat().st_size <= CHECKED_BYTES


async def is_behind(database: Database) -> bool:
    """Tell whether migrations are missing.

    Newer ones than ours only add, so an older version may go on with them, or come back.
    """
    version = await database.read(version_of)
    return version is None or version < HEAD


async def find_bot_tables(database: Database, language: Language = "en") -> BotTables:
    """Look the bot's tables up. Raises DatabaseUnfit naming every missing table and column."""
    return await database.read(_find_bot_tables, language)


def _find_bot_tables(connection: Connection, language: Language) -> BotTables:
    missing = missing_columns(connection)
    if missing:
        raise DatabaseUnfit(
            [*(translate(MISSING, language).format(name=name) for name in missing), translate(NOT_THE_BOTS, language)]
        )
    return BotTables.find(connection)
