"""A database opened for one test, and rows of its own."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import event, exc, select, text

from app.db import chores
from app.db.engine import Connection, Database, open_database
from app.db.tables import chores as table
from tests.fakes import START

TOGETHER = 5  # s that threads of a test wait for each other
HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aisha-webhook'"


@asynccontextmanager
async def opened(url: str, on_damage: Callable[[], None] | None = None) -> AsyncIterator[Database]:
    database = open_database(url, on_damage)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def opened_with(url: str, statement: str) -> AsyncIterator[Database]:
    """Open a database whose every connection first runs a statement."""

    def prepare(dbapi: Any, _record: object) -> None:
        cursor = dbapi.cursor()
        cursor.execute(statement)
        cursor.close()
        dbapi.commit()

    async with opened(url) as database:
        event.listen(database.engine, "connect", prepare)
        yield database


async def touch(database: Database, name: str = "a") -> None:
    await database.write(chores.touch, name, START)


async def names(database: Database) -> set[str]:
    return await database.read(lambda connection: set(connection.execute(select(table.c.name)).scalars()))


def hang_up(url: str) -> None:
    """Let the server end every connection but the one that asks for it."""
    admin = open_database(url).engine
    with admin.connect() as connection:
        connection.execute(text(f"{HANG_UP} AND pid <> pg_backend_pid()"))


def fail_on_disk(_connection: Connection, where: str = "FSYNC") -> None:
    trouble = sqlite3.OperationalError("disk I/O error")
    trouble.sqlite_errorname = f"SQLITE_IOERR_{where}"
    raise exc.OperationalError("COMMIT", {}, trouble)
