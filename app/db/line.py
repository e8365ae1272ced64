"""One thread's connection: opened when it is first used, opened anew when it was lost, cut when it hangs."""

import os
import select
import socket
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from threading import Lock, local
from typing import Any, TypeVar

from sqlalchemy import Engine, event, exc
from sqlalchemy.engine import Connection

from app.db.session import is_pooled
from app.db.trouble import translated

R = TypeVar("R")

_opening = local()  # `line`, while this thread opens its connection


class Age:
    """Counts how often a connection did not answer: one that was opened before the last count is not used again."""

    def __init__(self) -> None:
        self.now = 0


def introduce(engine: Engine) -> None:
    """Let each new connection meet its line before the dialect's first questions, which may hang as well."""

    def meet(driver: Any, _record: object) -> None:
        if (line := getattr(_opening, "line", None)) is not None:
            line.meet(driver)

    event.listen(engine, "connect", meet, insert=True)


class Line:
    """A connection and what is needed to end a call on it from outside."""

    def __init__(self, engine: Engine, age: Age, *, write: bool, is_autocommitted: bool) -> None:
        self._engine = engine
        self._age = age
        self.is_writer = write
        self._is_autocommitted = is_autocommitted and engine.dialect.name != "sqlite"
        self._opened_at = 0
        self._connection: Connection | None = None
        self._driver: Any = None
        self._socket: socket.socket | None = None
        self._guard = Lock()  # neither descriptor nor driver is released while `cut` uses it
        self.is_cut = self._is_committing = False

    def use(self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        """Run one transaction. Raises DatabaseUnavailable for what the database causes, bugs as they are.

        Where the connection was lost before the commit nothing was written, and a new one is tried: a restarted
        database leaves idle connections behind that only their next use finds dead.
        """
        with translated():
            if self._opened_at != self._age.now or self._has_ended():
                self.close()
            try:
                return self._transact(function, args, kwargs)
            except exc.DBAPIError as error:
                if not error.connection_invalidated or self._is_committing or self.is_cut:
                    raise
            return self._transact(function, args, kwargs)

    def _transact(self, function: Callable[..., R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> R:
        connection = self._open()
        self._is_committing = self.is_writer and self._is_autocommitted
        try:
            with connection.begin() as transaction:
                self._go_on()
                result = function(connection, *args, **kwargs)
                self._go_on()
                self._is_committing = True
                if self.is_writer:
                    transaction.commit()
                else:
                    transaction.rollback()
        except BaseException:
            # A commit or rollback that failed leaves the transaction open, for SQLAlchemy or for SQLite itself.
            is_open = connection.get_transaction() is not None or getattr(self._driver, "in_transaction", False)
            if connection.invalidated or self.is_cut or is_open:
                self.close()
            raise
        return result

    def _go_on(self) -> None:
        if self.is_cut:  # while it was connecting, or between two statements
            raise TimeoutError

    def _open(self) -> Connection:
        if self._connection is not None:
            return self._connection
        self._opened_at = self._age.now
        _opening.line = self
        try:
            connection = self._engine.connect().execution_options(write=self.is_writer)
            if is_pooled(connection):  # settings come with a transaction
                self._is_autocommitted = False
            if self._is_autocommitted:  # no BEGIN, COMMIT or ROLLBACK around each statement
                connection.execution_options(isolation_level="AUTOCOMMIT")
        except BaseException:
            self.close()
            raise
        finally:
            _opening.line = None
        self._connection = connection
        return connection

    def meet(self, driver: Any) -> None:
        """Remember how to end what this connection will do."""
        with self._guard:
            self._driver = driver
            if self._engine.dialect.name != "sqlite":
                # A copy of the descriptor: by its number, a connection closed meanwhile would be somebody else's.
                self._socket = socket.socket(fileno=os.dup(driver.fileno()))

    def _has_ended(self) -> bool:
        """Tell whether the server closed the connection while it was idle: only then is there something to read."""
        if self._socket is None:
            return False
        poll = select.poll()  # select() takes no descriptor beyond 1,023
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def cut(self) -> None:
        """End the call under way, from another thread: SQLite is interrupted, PostgreSQL's socket shut down."""
        with self._guard, suppress(OSError, sqlite3.Error):  # it ends this very moment
            self._age.now += 1
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)
            elif self._driver is not None:
                self._driver.interrupt()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        with self._guard:
            connection, self._connection, self._driver = self._connection, None, None
            held, self._socket = self._socket, None
            if held is not None:
                held.close()
        if connection is not None:
            with suppress(exc.SQLAlchemyError):  # it is broken already
                connection.close()
