"""One database, two dialects: opening it, and transactions that end in a commit or nothing."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import orjson
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy import Dialect, Engine, Table, TypeDecorator, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Connection as Connection  # noqa: PLC0414  flows name it, and know nothing else of SQLAlchemy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.db.line import Age, Line, introduce
from app.db.session import open_engine
from app.db.threads import Threads
from app.db.url import parse_url, sqlite_file
from app.domain.errors import DatabaseDamaged, DatabaseUnavailable

P = ParamSpec("P")
R = TypeVar("R")

BUSY_TIMEOUT = 5_000  # ms that SQLite waits for another process's write lock
STATEMENT_TIMEOUT = 8_000  # ms; below the 10 s in which a delivery must be answered
PATIENCE = 9.0  # s for a whole transaction; nothing else ends one on a server that hangs or a mute network
# s from a write until SQLite's log is moved into its file, on a thread of its own. In small pieces: the writer's fsync
# waits for the same disk, and once a second it waited 20 ms.
CHECKPOINT_AFTER = 0.1
LOG_PAGES = 16_000  # of 4 KiB, at which the writer does it itself: under a flood the log would grow for ever
WRITERS, READERS = 4, 2  # threads, each with a connection; SQLite has one writer
CLOSING = 1.0  # s that closing waits for transactions under way


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, timezone-aware in Python on both dialects (SQLite keeps no zone)."""

    impl = SqlDateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002  SQLAlchemy's signature
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def tune_sqlite(engine: Engine) -> None:
    """Make every connection durable, and issue BEGIN ourselves.

    `synchronous=FULL`, because NORMAL loses acknowledged rows in a power cut.
    """

    @event.listens_for(engine, "do_connect")
    def _before_connect(*_parts: object) -> None:
        # Only we may read the chat ids, whatever the umask; WAL and shared memory take the file's mode.
        with suppress(OSError):  # SQLite says better what is wrong
            os.close(os.open(str(engine.url.database), os.O_CREAT | os.O_EXCL, 0o660))

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # the driver must not issue BEGIN by itself
        cursor = dbapi.cursor()
        for pragma in (
            f"busy_timeout={BUSY_TIMEOUT}",  # first: the other pragmas may have to wait for a lock
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"wal_autocheckpoint={LOG_PAGES}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", True)
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # its driver
        try:
            # A script of one statement: `execute` gives up the interpreter's lock three times, this once.
            driver.executescript("BEGIN IMMEDIATE" if write else "BEGIN")
        except sqlite3.Error as error:
            raise DBAPIError.instance("BEGIN", None, error, sqlite3.Error) from error


class Database:
    """Transactions on one database, each a plain function that gets a connection as its first argument.

    SQLite has one writer thread, so that writers of this process take turns; PostgreSQL has a few. Readers have threads
    of their own. `on_damage` is called, from the thread, when the disk failed under a write.
    """

    def __init__(self, engine: Engine, on_damage: Callable[[], None] | None = None) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._on_damage = on_damage
        self._age = Age()
        introduce(engine)
        self._writers = Threads("database-write", 1 if self.is_sqlite else WRITERS, self._line(write=True))
        self._statements = self._writers
        if not self.is_sqlite:
            self._statements = Threads("database-statement", 1, self._line(write=True, is_one_statement=True))
        self._readers = Threads("database-read", READERS, self._line(write=False))
        self._checkpoints = Threads("database-checkpoint", 1, self._line(write=False))
        self._checkpoint: asyncio.TimerHandle | asyncio.Task[None] | None = None

    async def write(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(connection, …)` in one transaction that commits when it returns and is undone when it raises.

        It may be run a second time on a new connection, where the first was lost before the commit: it must change
        nothing but the database. Raises DatabaseUnavailable when the database cannot be reached, is locked, full,
        read-only or too slow; then the transaction was not committed, or its end is unknown where the connection was
        lost in the commit. Cancelling the caller undoes nothing that has begun.
        """
        if self.is_sqlite and self._checkpoint is None:
            self._checkpoint = asyncio.get_running_loop().call_later(CHECKPOINT_AFTER, self._begin_checkpoint)
        return await self._run(self._writers, function, args, kwargs)

    async def statement(
        self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Run `function(connection, …)` as `write` does; on PostgreSQL it makes one statement, which commits itself.

        That saves two of three round trips. A connection lost on the way leaves its end unknown.
        """
        if self.is_sqlite:
            return await self.write(function, *args, **kwargs)
        return await self._run(self._statements, function, args, kwargs)

    async def read(self, function: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `function(connection, …)` on a connection that writes nothing. Raises DatabaseUnavailable as `write`."""
        return await self._run(self._readers, function, args, kwargs)

    async def close(self) -> None:
        """Close every connection; call before the loop ends. A thread that hangs is left behind."""
        if self._checkpoint is not None:
            self._checkpoint.cancel()
        threads = {self._writers, self._statements, self._readers, self._checkpoints}
        await asyncio.gather(*(each.close(CLOSING) for each in threads))
        self.engine.dispose()

    async def _run(
        self, threads: Threads[Line], function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> R:
        try:
            return await threads.run(lambda line: self._use(line, function, args, kwargs), PATIENCE)
        except TimeoutError as error:
            raise DatabaseUnavailable(f"no answer within {PATIENCE:.0f} s") from error

    def _use(self, line: Line, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        try:
            return line.use(function, args, kwargs)
        except DatabaseDamaged:
            if line.is_writer and self._on_damage is not None:
                self._on_damage()
            raise
        except DatabaseUnavailable as error:
            if line.is_cut:  # we cut it ourselves: the driver's error tells nothing more
                raise TimeoutError from error
            raise

    def _begin_checkpoint(self) -> None:
        self._checkpoint = asyncio.get_running_loop().create_task(self._move_log())

    async def _move_log(self) -> None:
        """Move SQLite's log into the file beside the writer, which would do it between two commits."""
        try:
            await self._run(self._checkpoints, _checkpoint, (), {})
        except DatabaseDamaged:
            if self._on_damage is not None:
                self._on_damage()
        except DatabaseUnavailable:
            pass  # somebody else does it, or the next one
        self._checkpoint = None

    def _line(self, *, write: bool, is_one_statement: bool = False) -> Callable[[], Line]:
        return lambda: Line(self.engine, self._age, write=write, is_autocommitted=is_one_statement or not write)


def _checkpoint(connection: Connection) -> None:
    connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")


def upsert_into(connection: Connection, table: Table) -> sqlite.Insert:
    """Start an INSERT … ON CONFLICT in the connection's dialect; both dialects spell what we use alike."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415  SQLite need not pay for it: two MiB

    return cast("sqlite.Insert", postgresql.insert(table))


def open_database(database_url: str, on_damage: Callable[[], None] | None = None) -> Database:
    """Make the engine; nothing is connected yet. `on_damage` as Database has it."""
    url = parse_url(database_url)
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "hide_parameters": True,
    }
    if url.get_backend_name() == "sqlite":
        if (path := sqlite_file(database_url)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(url, poolclass=NullPool, **options)  # each thread keeps its connection
        tune_sqlite(engine)
        return Database(engine, on_damage)
    limits = {
        "statement_timeout": STATEMENT_TIMEOUT,
        "lock_timeout": STATEMENT_TIMEOUT,
        # A session whose client was lost must not hold its rows for longer than that client would have waited.
        "idle_in_transaction_session_timeout": 10_000,
    }
    return Database(open_engine(database_url, limits, **options), on_damage)
