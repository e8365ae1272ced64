"""Transactions inline, on a real file, with what may happen to a database on the way.

Every commit is told to `on_commit` with the rows that it touched, before anybody else does anything.
"""

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event, exc
from sqlalchemy.engine import Connection

from app.db.engine import PATIENCE, Database
from app.db.line import Line
from app.domain.errors import DatabaseConflict, DatabaseUnavailable
from tests.simulation.ledger import Ledger
from tests.simulation.virtual_loop import OWNER
from tests.simulation.weather import Weather

USUAL = 0.002  # s that a transaction takes, on average
WATCHED = ("webhook_deliveries", "webhook_notifications", "webhook_jobs", "webhook_alerts", "avatars")
Touched = tuple[str, int, str]  # table, rowid, what was done


class Storage:
    """The disk under the database. `notes` are the rows that the transaction under way has touched."""

    def __init__(self, weather: Weather, chance: random.Random, ledger: Ledger) -> None:
        self._weather = weather
        self._chance = chance
        self._ledger = ledger
        self.notes: list[Touched] = []
        self.on_commit: Callable[[Any, list[Touched]], None] = lambda _life, _notes: None
        self.commits = 0
        self.counts: Counter[str] = Counter()

    def watch(self, engine: Engine) -> None:
        """Let connections tell which rows they touch; what the kernel would keep is not simulated, so none is synced."""

        @event.listens_for(engine, "connect")
        def _on_connect(driver: Any, _record: object) -> None:
            driver.execute("PRAGMA synchronous=OFF")
            self.introduce(driver)

    def introduce(self, driver: sqlite3.Connection) -> None:
        """Give a connection the function that the triggers call."""
        driver.create_function("simulation_note", 3, self._note)

    def _note(self, table: str, rowid: int, what: str) -> None:
        self.notes.append((table, rowid, what))

    async def run(
        self, database: Database, threads: object, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """Take the place of `Database._run`."""
        life: Any = OWNER.get()
        if threads is database._checkpoints:
            return None  # nothing is synced here, so the log need not be moved
        is_write = threads is database._writers or threads is database._statements
        await asyncio.sleep(self._chance.expovariate(1 / USUAL))
        life.must_live()
        mode = self._weather.of("database") if life.is_server else None
        if mode is not None:
            self._ledger.note(str(life), f"database {mode} {_name(function)}")
            result = await self._troubled(mode, life, database, is_write, function, args, kwargs)
        else:
            result = self._transact(life, database, is_write, function, args, kwargs)
        if is_write and self._chance.random() < 0.3:  # the commit is done, and nobody knows yet
            await asyncio.sleep(self._chance.expovariate(1 / USUAL))
        life.must_live()
        return result

    def _transact(
        self, life: Any, database: Database, is_write: bool, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        self.notes.clear()
        self.counts[_name(function)] += 1
        result = database._use(_line(database, is_write), function, args, kwargs)
        if is_write:
            self.commits += 1
            touched, self.notes = self.notes, []
            if touched:
                self._ledger.note(str(life), f"commit {_name(function)} {len(touched)}")
            self.on_commit(life, touched)
        return result

    async def _troubled(
        self, mode: str, life: Any, database: Database, is_write: bool, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        def whole() -> Any:
            return self._transact(life, database, is_write, function, args, kwargs)

        def broken(text: str, name: str | None = None) -> None:
            self.notes.clear()
            database._use(_line(database, is_write), _breaking(function, text, name), args, kwargs)

        half = self._chance.random() < 0.5
        match mode:
            case "busy":
                await asyncio.sleep(5.0)
                raise DatabaseUnavailable("database is locked")
            case "full" | "read-only" if not is_write:
                return whole()
            case "full":
                broken("database or disk is full")
            case "read-only":
                broken("attempt to write a readonly database")
            case "damaged" if is_write:
                broken("disk I/O error", "SQLITE_IOERR_FSYNC")
            case "conflict" if is_write and half:
                raise DatabaseConflict("deadlock detected")
            case "lost" if half:
                raise DatabaseUnavailable("the connection was lost")
            case "lost":
                broken("the connection was lost")
            case "unknown":
                if half:
                    whole()
                life.must_live()
                raise DatabaseUnavailable("the connection was lost in the commit")
            case "hung":
                await asyncio.sleep(PATIENCE)
                life.must_live()
                if half:
                    whole()
                raise DatabaseUnavailable(f"no answer within {PATIENCE:.0f} s")
            case "deadly" if is_write:  # the process dies inside the commit: before it took effect, or after
                if half:
                    whole()
                life.die("in a commit, " + ("done" if half else "undone"))
                life.must_live()
        return whole()


def _breaking(function: Callable[..., Any], text: str, name: str | None) -> Callable[..., Any]:
    def break_(connection: Connection, *args: Any, **kwargs: Any) -> None:
        function(connection, *args, **kwargs)
        cause = sqlite3.OperationalError(text)
        if name is not None:
            cause.sqlite_errorname = name
        raise exc.OperationalError("COMMIT", {}, cause)

    return break_


def _line(database: Any, is_write: bool) -> Line:
    """Keep a connection for writing and one for reading, as the threads would."""
    lines = database.__dict__.setdefault("simulated_lines", {})
    if is_write not in lines:
        lines[is_write] = database._line(write=is_write)()
    line: Line = lines[is_write]
    line.is_cut = False
    return line


def close(database: Any) -> None:
    """Close the connections that were made for it."""
    for line in database.__dict__.pop("simulated_lines", {}).values():
        line.close()


def install_triggers(driver: sqlite3.Connection) -> None:
    """Let the tables tell what is done to their rows."""
    for table in WATCHED:
        for what, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            driver.execute(
                f"CREATE TRIGGER IF NOT EXISTS simulation_{table}_{what} AFTER {what} ON {table} BEGIN "
                f"SELECT simulation_note('{table}', {row}.rowid, '{what.lower()}'); END"
            )
    driver.commit()


def _name(function: Any) -> str:
    while (inner := getattr(function, "func", None)) is not None:
        function = inner
    return getattr(function, "__qualname__", type(function).__name__)
