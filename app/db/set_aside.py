"""A change within a transaction that may fail without harm to the rest."""

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

_ASIDE = text("SELECT set_config('lock_timeout', '1s', true), set_config('statement_timeout', '2s', true)")


def set_aside(connection: Connection, change: Callable[[], None]) -> str | None:
    """Make the last change of a transaction, which may fail without harm to the rest.

    It waits for nobody's lock for long. Returns None, or the database's own words where the change was undone.
    """
    savepoint = connection.begin_nested()
    try:
        if connection.dialect.name == "postgresql":
            connection.execute(_ASIDE)
        change()
    except DBAPIError as error:
        if error.connection_invalidated or "IOERR" in str(getattr(error.orig, "sqlite_errorname", "")):
            raise
        savepoint.rollback()  # raises where the whole transaction is gone: nothing may be taken for written then
        return str(error.orig).partition("\n")[0]
    savepoint.commit()
    return None
