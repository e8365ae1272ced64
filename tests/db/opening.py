"""A database opened for one test, and rows of its own."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event, exc, select, text

from app.db import chores
from app.db.engine import Connection, Database, open_database
from app.db.tables import chores as table
from tests.fakes import START

TOGETHER = 5  # s that threads of a test wait for each other
SHORT = 0.2  # s of patience, where a test has no use for more
NO_ANSWER = "no answer within"
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


@dataclass
class Hang:
    """Work that is held up, as by a disk, until it is let go."""

    begun: threading.Event = field(default_factory=threading.Event)
    end: threading.Event = field(default_factory=threading.Event)

    def hold(self, *_: object) -> None:
        self.begun.set()
        assert self.end.wait(TOGETHER)

    def write(self, connection: Connection, name: str) -> None:
        chores.touch(connection, name, START)
        self.hold()

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.wait, TOGETHER)
