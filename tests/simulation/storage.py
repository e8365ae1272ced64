"""Transactions inline, on a real file, with what may happen to a database on the way.

Every commit is told to `on_commit` with the rows that it touched, before anybody else does anything.
"""

import asyncio
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
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
LOG = 200  # pages of the write-ahead log, which each read walks: the thread that moves it is not simulated
WATCHED = ("webhook_deliveries", "webhook_notifications", "webhook_jobs", "webhook_alerts", "avatars")
# What the driver says at the end of a transaction, which is undone then; and its name.
BREAKS: dict[str, tuple[str, str | None]] = {
    "full": ("database or disk is full", None),
    "read-only": ("attempt to write a readonly database", None),
    "damaged": ("disk I/O error", "SQLITE_IOERR_FSYNC"),
    "lost": ("the connection was lost", None),
}
Touched = tuple[str, int, str]  # table, rowid, what was done


class Storage:
    """The disk under the database. `notes` are the rows that the transaction under way has touched."""

    def __init__(self, url: str, weather: Weather, chance: random.Random, ledger: Ledger) -> None:
        self._url = url
        self.is_sqlite = url.startswith("sqlite")
        self._weather = weather
        self._chance = chance
        self._ledger = ledger
        self.notes: list[Touched] = []
        self.on_commit: Callable[[Any, list[Touched]], None] = lambda _life, _notes: None
        self.commits = 0
        self._first: Engine | None = None
        self.counts: Counter[str] = Counter()

    def watch(self, engine: Engine) -> None:
        """Let connections tell which rows they touch; nothing is synced, for no kernel is simulated.

        All engines of a run on SQLite share what the first one has compiled, so that a new process begins with it.
        """
        if not self.is_sqlite:
            _postgres().watch(engine, self._note)
            return
        if self._first is None:
            self._first = engine  # of the migration, which has connected before any other is made
        engine.dialect, engine._compiled_cache = self._first.dialect, self._first._compiled_cache

        @event.listens_for(engine, "connect")
        def _on_connect(driver: Any, _record: object) -> None:
            driver.execute("PRAGMA synchronous=OFF")
            driver.execute(f"PRAGMA wal_autocheckpoint={LOG}")
            self.introduce(driver)

    def connect(self) -> Any:
        """Open a connection of the world's own, whose writes are told as well."""
        if not self.is_sqlite:
            return _postgres().Driver(self._url, self._note)
        driver = sqlite3.connect(self._url.removeprefix("sqlite:///"), timeout=30)
        driver.execute("PRAGMA synchronous=OFF")
        driver.row_factory = sqlite3.Row
        self.introduce(driver)
        return driver

    def introduce(self, driver: sqlite3.Connection) -> None:
        """Give a connection the function that the triggers call."""
        driver.create_function("simulation_note", 3, self._note)

    def install_triggers(self, driver: Any) -> None:
        """Let the tables tell what is done to their rows."""
        if self.is_sqlite:
            install_triggers(driver)
        else:
            _postgres().install_triggers(driver, WATCHED)

    def _note(self, table: str, rowid: int, what: str) -> None:
        self.notes.append((table, rowid, what))

    async def run(
        self, database: Database, threads: object, function: Callable[..., Any], args: Any, kwargs: Any
    ) -> Any:
        """Take the place of `Database._run`."""
        life: Any = OWNER.get()
        if threads is database._checkpoints:
            return None  # nothing is synced here, so the log need not be moved
        is_statement = threads is database._statements and not database.is_sqlite
        is_write = is_statement or threads is database._writers
        work = Work(life, database, function, args, kwargs, is_write=is_write, is_statement=is_statement)
        await asyncio.sleep(self._chance.expovariate(1 / USUAL))
        life.must_live()
        mode = self._weather.of("database") if life.is_server else None
        if mode is not None:
            self._ledger.note(str(life), f"database {mode} {_name(function)}")
            result = await self._troubled(mode, work)
        else:
            result = self._transact(work)
        if is_write and self._chance.random() < 0.3:  # the commit is done, and nobody knows yet
            await asyncio.sleep(self._chance.expovariate(1 / USUAL))
        life.must_live()
        return result

    def _transact(self, work: "Work") -> Any:
        self.notes.clear()
        self.counts[_name(work.function)] += 1
        result = work.database._use(_line(work), work.function, work.args, work.kwargs)
        if work.is_write:
            self.commits += 1
            touched, self.notes = self.notes, []
            if touched:
                self._ledger.note(str(work.life), f"commit {_name(work.function)} {len(touched)}")
            self.on_commit(work.life, touched)
        return result

    async def _troubled(self, mode: str, work: "Work") -> Any:
        half = self._chance.random() < 0.5
        match mode:
            case "busy":
                await asyncio.sleep(5.0)
                raise DatabaseUnavailable("database is locked")
            case "conflict" if work.is_write and half:
                raise DatabaseConflict("deadlock detected")
            case "lost" if half:
                raise DatabaseUnavailable("the connection was lost")
            case "unknown" | "hung":
                await self._doubtful(mode, work, is_done=half)
            case "deadly" if work.is_write:  # the process dies inside the commit: before it took effect, or after
                if half:
                    self._transact(work)
                work.life.die("in a commit, " + ("done" if half else "undone"))
                work.life.must_live()
        if mode in BREAKS and (work.is_write or mode == "lost"):
            self.notes.clear()
            cause = _cause(*BREAKS[mode]) if self.is_sqlite else _postgres().BREAKS[mode]
            work.database._use(_line(work), _breaking(work.function, cause), work.args, work.kwargs)
        return self._transact(work)

    async def _doubtful(self, mode: str, work: "Work", *, is_done: bool) -> None:
        """End a transaction so that nobody knows how."""
        if mode == "hung":
            await asyncio.sleep(PATIENCE)
            work.life.must_live()
        if is_done:
            self._transact(work)
        if mode == "hung":
            raise DatabaseUnavailable(f"no answer within {PATIENCE:.0f} s")
        raise DatabaseUnavailable("the connection was lost in the commit")


@dataclass(frozen=True, slots=True)
class Work:
    """A transaction: what is to be done, for whom, on which connection."""

    life: Any
    database: Database
    function: Callable[..., Any]
    args: Any
    kwargs: Any
    is_write: bool
    is_statement: bool  # one statement of PostgreSQL's, which commits itself


def _cause(text: str, name: str | None) -> Exception:
    cause = sqlite3.OperationalError(text)
    if name is not None:
        cause.sqlite_errorname = name
    return cause


def _breaking(function: Callable[..., Any], cause: Exception) -> Callable[..., Any]:
    def break_(connection: Connection, *args: Any, **kwargs: Any) -> None:
        function(connection, *args, **kwargs)
        raise exc.OperationalError("COMMIT", {}, cause)

    return break_


def _postgres() -> Any:
    from tests.simulation import postgres  # noqa: PLC0415  SQLite need not pay for its driver

    return postgres


def _line(work: Work) -> Line:
    """Keep a connection for each kind of work, as the threads would."""
    lines = work.database.__dict__.setdefault("simulated_lines", {})
    kind = (work.is_write, work.is_statement)
    if kind not in lines:
        lines[kind] = work.database._line(write=work.is_write, is_one_statement=work.is_statement)()
    line: Line = lines[kind]
    line.is_cut = False
    return line


def close(database: Any) -> None:
    """Close the connections that were made for it."""
    for line in database.__dict__.pop("simulated_lines", {}).values():
        line.close()


def install_triggers(driver: sqlite3.Connection) -> None:
    """Let the tables tell what is done to their rows."""
    there = {name for (name,) in driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in sorted(there & set(WATCHED)):
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
