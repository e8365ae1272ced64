"""One thread's connection: opened when it is first used, opened anew when it was lost, cut when it hangs."""

import os
import select
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy import Engine, exc
from sqlalchemy.engine import Connection

from app.db.trouble import translated

R = TypeVar("R")


class Age:
    """Counts the moments at which a connection was found mute: those opened before are as old, and are not trusted."""

    def __init__(self) -> None:
        self.now = 0


class Line:
    """A connection and what is needed to end a call on it from outside."""

    def __init__(self, engine: Engine, age: Age, *, write: bool, is_autocommitted: bool) -> None:
        self._engine = engine
        self._age = age
        self._write = write
        self._is_autocommitted = is_autocommitted and engine.dialect.name != "sqlite"
        self._opened_at = 0
        self._connection: Connection | None = None
        self._socket: socket.socket | None = None
        self._is_cut = self._is_committing = False

    def use(self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """Run one transaction. Raises DatabaseUnavailable for what the database causes, bugs as they are.

        Where the connection was lost before the commit nothing was written, and a new one is tried: a restarted
        database leaves idle connections behind that only their next use finds dead.
        """
        self._is_cut = False
        with translated():
            if self._opened_at != self._age.now or self._has_ended():
                self.close()
            try:
                return self._transact(function, args, kwargs)
            except exc.DBAPIError as error:
                if not error.connection_invalidated or self._is_committing or self._is_cut:
                    raise
            return self._transact(function, args, kwargs)

    def _transact(self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        connection = self._open()
        self._is_committing = self._write and self._is_autocommitted
        try:
            with connection.begin() as transaction:
                result = function(connection, *args, **kwargs)
                self._is_committing = True
                if self._write:
                    transaction.commit()
                else:
                    transaction.rollback()
        except BaseException:
            if connection.invalidated or self._is_cut:
                self.close()
            raise
        return result

    def _open(self) -> Connection:
        if self._connection is None:
            self._opened_at = self._age.now
            self._connection = self._engine.connect().execution_options(write=self._write)
            if self._engine.dialect.name != "sqlite":
                if self._is_autocommitted:  # no BEGIN, COMMIT or ROLLBACK around each statement
                    self._connection.execution_options(isolation_level="AUTOCOMMIT")
                # A copy of the descriptor: by its number, a connection closed meanwhile would be somebody else's.
                self._socket = socket.socket(fileno=os.dup(self._driver().fileno()))
        return self._connection

    def _has_ended(self) -> bool:
        """Tell whether the server closed the connection while it was idle: only then is there something to read."""
        if self._socket is None:
            return False
        poll = select.poll()  # select() takes no descriptor beyond 1,023
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def cut(self) -> None:
        """End the call under way, from another thread: SQLite is interrupted, PostgreSQL's socket shut down."""
        self._is_cut = True
        self._age.now += 1
        with suppress(OSError, AttributeError, exc.SQLAlchemyError):  # it ends this very moment
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
            elif self._connection is not None:
                self._driver().interrupt()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        held, self._socket = self._socket, None
        if held is not None:
            held.close()
        if connection is not None:
            with suppress(exc.SQLAlchemyError):  # it is broken already
                connection.close()

    def _driver(self) -> Any:
        assert self._connection is not None
        return self._connection.connection.driver_connection
