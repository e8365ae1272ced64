"""What a driver's error means: the database is away, another transaction was in the way, the disk failed, or a bug."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from app.domain.errors import DatabaseConflict, DatabaseDamaged, DatabaseReadOnly, DatabaseUnavailable

CONFLICTS = ("40001", "40P01")  # serialization failure, deadlock: the same again is expected to succeed
READ_ONLY = "25006"  # a standby, or a server in read-only mode
SHAPE = "42"  # a right, table or column was taken away since the start, which had looked: it may be given back


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's operational trouble into DatabaseUnavailable; bugs pass through as they are."""
    try:
        yield
    except (exc.DBAPIError, sqlite3.Error) as error:  # the latter where a driver is spoken to by itself
        if (kind := _kind(error)) is None:
            raise
        raise kind(first_line(error)) from error
    except OSError as error:
        raise DatabaseUnavailable(first_line(error)) from error


def _kind(error: exc.DBAPIError | sqlite3.Error) -> type[DatabaseUnavailable] | None:
    cause = error.orig if isinstance(error, exc.DBAPIError) else error
    name, state = str(getattr(cause, "sqlite_errorname", "")), getattr(cause, "sqlstate", None)
    match error:
        case exc.OperationalError() | sqlite3.OperationalError() if name.startswith("SQLITE_IOERR"):
            return DatabaseDamaged  # after a failed fsync nobody knows what is on disk; only a fresh start reads it
        case exc.OperationalError() if state in CONFLICTS:
            return DatabaseConflict
        case exc.OperationalError() | exc.InterfaceError() | sqlite3.OperationalError():
            return DatabaseUnavailable
        case exc.InternalError() if state == READ_ONLY:
            return DatabaseReadOnly
        case exc.ProgrammingError() if str(state).startswith(SHAPE):
            return DatabaseUnavailable
        case _ if getattr(error, "connection_invalidated", False) or name in ("SQLITE_CORRUPT", "SQLITE_NOTADB"):
            return DatabaseUnavailable
    return None


def first_line(error: BaseException) -> str:
    """Take the driver's own words without the statement and its parameters (they hold what owners typed)."""
    cause = getattr(error, "orig", None) or error
    return str(cause).partition("\n")[0][:300]
