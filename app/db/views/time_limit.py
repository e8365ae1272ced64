"""Reads for people end in time: a wide search must not hold up the readers that health checks need."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from app.domain.errors import SearchTooWide

STEPS = 5_000  # of SQLite's machine between two looks at the clock
TIMED_OUT = "57014"  # PostgreSQL: query_canceled


@contextmanager
def time_limit(connection: Connection, seconds: float) -> Iterator[None]:
    """Let the statements within take this long, all together on SQLite and each on PostgreSQL. Raises SearchTooWide."""
    is_sqlite = connection.dialect.name == "sqlite"
    leave = (_limit_sqlite if is_sqlite else _limit_postgresql)(connection, seconds)
    try:
        yield
    except DBAPIError as error:
        name = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None)
        if name in ("SQLITE_INTERRUPT", TIMED_OUT) and not error.connection_invalidated:
            raise SearchTooWide("this takes too long: narrow it by a time or a state, such as after:6h") from error
        raise
    finally:
        leave()


def _limit_sqlite(connection: Connection, seconds: float) -> Callable[[], None]:
    driver: Any = connection.connection.driver_connection
    end = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    return lambda: driver.set_progress_handler(None, 0)


def _limit_postgresql(connection: Connection, seconds: float) -> Callable[[], None]:
    """Set it within a transaction of the server's: whoever reads has none around its statements."""
    driver: Any = connection.connection.driver_connection
    limit = f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}"
    if not driver.autocommit:
        driver.execute("SAVEPOINT limited")
        driver.execute(limit)
        return lambda: driver.execute("ROLLBACK TO limited")
    driver.execute("BEGIN READ ONLY")
    driver.execute(limit)
    return lambda: driver.execute("ROLLBACK")
