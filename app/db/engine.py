"""One database, two dialects: opening it, and transactions that end in a commit or nothing."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Any, cast

import orjson
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy import Dialect, Engine, Table, TypeDecorator, event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from app.db.url import parse_url, sqlite_file
from app.domain.errors import DatabaseConflict, DatabaseDamaged, DatabaseUnavailable

Transaction = AsyncConnection

BUSY_TIMEOUT = 5_000  # ms that SQLite waits for another process's write lock
CONNECT_TIMEOUT = 5  # s
STATEMENT_TIMEOUT = 8_000  # ms; below the 10 s in which a delivery must be answered
CONFLICTS = ("40001", "40P01")  # serialization failure, deadlock: the same again is expected to succeed
READ_ONLY = "25006"  # a standby, or a server in read-only mode
PATIENCE = 9.0  # s for a whole transaction: a server that hangs, or a mute network, ends by no timeout of its own
# A peer that went away without a word is noticed within 11 s: a reset is sent once, and may be the packet that is lost.
ATTENTIVE = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": STATEMENT_TIMEOUT,
}
POOL_SIZE = 5
POOL_TIMEOUT = 5  # s


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
    """Make every connection durable and leave BEGIN to us.

    `synchronous=FULL`, because NORMAL loses acknowledged rows in a power cut.
    """

    @event.listens_for(engine, "do_connect")
    def _before_connect(*_parts: object) -> None:
        # Chat ids are nobody else's business, whatever the umask; WAL and shared memory take the file's mode.
        with suppress(OSError):  # SQLite says better what is wrong
            os.close(os.open(str(engine.url.database), os.O_CREAT | os.O_EXCL, 0o660))

    @event.listens_for(engine, "connect")
    def _on_connect(dbapi: Any, _record: object) -> None:
        dbapi.isolation_level = None  # the driver must not begin behind our back
        cursor = dbapi.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT}", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class Database:
    """Transactions on one engine.

    On SQLite writers of this process take turns under a lock of ours: the file's own busy handler only polls.
    `on_damage` is called when the disk failed under a write.
    """

    def __init__(self, engine: AsyncEngine, on_damage: Callable[[], None] | None = None) -> None:
        self.engine = engine
        self._on_damage = on_damage
        self.is_sqlite = engine.dialect.name == "sqlite"
        self._turn = asyncio.Lock() if self.is_sqlite else nullcontext()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """Open a transaction that commits when the block ends and is undone when it raises.

        Raises DatabaseUnavailable when the database cannot be reached, is locked, full, read-only or too slow.
        """
        try:
            async with self._turn:
                with _translated():
                    async with asyncio.timeout(PATIENCE), self.engine.begin() as connection:
                        yield connection
        except DatabaseDamaged:
            if self._on_damage is not None:
                self._on_damage()
            raise
        except DatabaseUnavailable as error:
            await self._forget_after(error)
            raise

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """Open a read-only view. Raises DatabaseUnavailable as `write` does."""
        try:
            with _translated():
                async with asyncio.timeout(PATIENCE), self.engine.connect() as connection:
                    yield await connection.execution_options(write=False)
        except DatabaseUnavailable as error:
            await self._forget_after(error)
            raise

    async def _forget_after(self, error: DatabaseUnavailable) -> None:
        """Close what lies in the pool when one connection was mute: the others are as old, each would cost as long."""
        if not self.is_sqlite and isinstance(error.__cause__, TimeoutError):
            await self.engine.dispose()

    async def close(self) -> None:
        """Close every connection; call before the loop ends."""
        await self.engine.dispose()


class _translated:  # noqa: N801  it reads as a statement, like contextlib's own
    """Turn the driver's operational trouble into DatabaseUnavailable; bugs pass through as they are."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        match error:
            case exc.OperationalError() if _is_io_error(error):
                # After a failed fsync nobody knows what is on disk; only a fresh start reads it again.
                raise DatabaseDamaged(_first_line(error)) from error
            case exc.OperationalError() if getattr(error.orig, "sqlstate", None) in CONFLICTS:
                raise DatabaseConflict(_first_line(error)) from error
            case exc.InternalError() if getattr(error.orig, "sqlstate", None) == READ_ONLY:
                raise DatabaseUnavailable(_first_line(error)) from error
            case exc.OperationalError() | exc.InterfaceError() | exc.TimeoutError() | ConnectionError():
                raise DatabaseUnavailable(_first_line(error)) from error
            case TimeoutError():
                raise DatabaseUnavailable(f"no answer within {PATIENCE:.0f} s") from error
            case exc.DBAPIError() if error.connection_invalidated or _is_malformed(error):
                raise DatabaseUnavailable(_first_line(error)) from error
            case _:
                return


def _is_io_error(error: exc.DBAPIError) -> bool:
    return str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_IOERR")


def _is_malformed(error: exc.DBAPIError) -> bool:
    return getattr(error.orig, "sqlite_errorname", "") in ("SQLITE_CORRUPT", "SQLITE_NOTADB")


def _first_line(error: BaseException) -> str:
    """Take the driver's own words without the statement and its parameters (they hold what owners typed)."""
    cause = getattr(error, "orig", None) or error
    return str(cause).partition("\n")[0][:300]


def upsert_into(transaction: Transaction, table: Table) -> sqlite.Insert:
    """Start an INSERT … ON CONFLICT in the connection's dialect; both dialects spell what we use alike."""
    if transaction.dialect.name == "sqlite":
        return sqlite.insert(table)
    return cast("sqlite.Insert", postgresql.insert(table))


def open_database(database_url: str, on_damage: Callable[[], None] | None = None) -> Database:
    """Make the engine; nothing is connected yet. `on_damage` as Database has it."""
    url = parse_url(database_url)
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "hide_parameters": True,
        "pool_size": POOL_SIZE,
        "max_overflow": 0,
        "pool_timeout": POOL_TIMEOUT,
    }
    if url.get_backend_name() == "sqlite":
        if (path := sqlite_file(database_url)) is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(url, **options)
        tune_sqlite(engine.sync_engine)
        return Database(engine, on_damage)
    settings = {
        "statement_timeout": STATEMENT_TIMEOUT,
        "lock_timeout": STATEMENT_TIMEOUT,
        # A session whose client was lost must not hold its rows for longer than that client would have waited.
        "idle_in_transaction_session_timeout": 10_000,
        "tcp_user_timeout": STATEMENT_TIMEOUT,
        "tcp_keepalives_idle": 5,
        "tcp_keepalives_interval": 2,
        "tcp_keepalives_count": 3,
        "timezone": "UTC",
    }
    engine = create_async_engine(
        url,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT,
            **ATTENTIVE,
            "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
            "application_name": "aisha-webhook",
        },
        **options,
    )
    return Database(engine, on_damage)
