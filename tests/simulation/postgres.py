"""Worlds on a real PostgreSQL (`--postgresql`): a server for all of them, a database for each, rows as SQLite has them.

Transactions stay inline, one after the other: its statements, types and errors are real, its waiting for locks is not.
"""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import Engine, event

from tests.factories import BOT_TABLES
from tests.postgres import with_database

Note = Callable[[str, Any, str], None]  # table, id, what was done

MARK = "simulation_note "
FUNCTION = f"""
CREATE OR REPLACE FUNCTION simulation_note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE key text := '0';
BEGIN
  IF TG_TABLE_NAME <> 'webhook_alerts' THEN key := COALESCE(NEW.id, OLD.id)::text; END IF;
  RAISE NOTICE '{MARK}% % %', TG_TABLE_NAME, key, lower(TG_OP);
  RETURN NULL;
END $$
"""
# What the driver raises at the end of a transaction, which is undone then.
BREAKS: dict[str, psycopg.Error] = {
    "full": psycopg.errors.DiskFull("could not extend file: No space left on device"),
    "read-only": psycopg.errors.ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction"),
    "damaged": psycopg.errors.IoError("could not fsync file: Input/output error"),
    "lost": psycopg.OperationalError("the connection was lost"),
}


@contextmanager
def fresh(server: str, name: str) -> Iterator[str]:
    """Make a database with the bot's tables on a server; yield its URL; drop it."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
        url = with_database(server, name)
        with psycopg.connect(url, autocommit=True) as inside:
            inside.execute(BOT_TABLES)
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Row:
    """A row with the ways in of `sqlite3.Row`: by name, by number, value after value."""

    def __init__(self, names: Sequence[str], values: Sequence[Any]) -> None:
        self._values = dict(zip(names, values, strict=True))

    def __getitem__(self, key: str | int) -> Any:
        return self._values[key] if isinstance(key, str) else list(self._values.values())[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values.values())

    def keys(self) -> list[str]:
        """Name the columns."""
        return list(self._values)


class Answer:
    """What a statement brought."""

    def __init__(self, cursor: "psycopg.Cursor[Any]") -> None:
        self._cursor = cursor
        self.rowcount = cursor.rowcount

    def fetchall(self) -> list[Row]:
        """Return all rows, values spelt as SQLite has them."""
        names = [column.name for column in self._cursor.description or ()]
        return [Row(names, [_spelt(value) for value in row]) for row in self._cursor.fetchall()]


class Driver:
    """A connection with what the simulation uses of `sqlite3.Connection`. `note` hears of every row that it touches."""

    def __init__(self, url: str, note: Note) -> None:
        self._connection = psycopg.connect(url, options="-c TimeZone=UTC", autocommit=True)
        hear(self._connection, note)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Answer:
        """Run a statement that is spelt for SQLite; each commits itself."""
        spelt = statement.replace("%", "%%").replace("?", "%s").replace("rowid", "id").replace("DATETIME", "timestamp")
        return Answer(self._connection.execute(spelt.encode(), values))

    def commit(self) -> None:
        """Nothing is left open; nothing happens between two statements of one write either."""

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _spelt(value: Any) -> Any:
    match value:
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}" if value.tzinfo else str(value)
        case uuid.UUID():
            return str(value)
    return value


def hear(connection: "psycopg.Connection[Any]", note: Note) -> None:
    """Let a connection tell which rows it touches."""

    def on_notice(said: "psycopg.errors.Diagnostic") -> None:
        text = said.message_primary or ""
        if text.startswith(MARK):
            table, key, what = text.removeprefix(MARK).split(" ")
            note(table, int(key) if key.isdecimal() else key, what)

    connection.add_notice_handler(on_notice)


def watch(engine: Engine, note: Note) -> None:
    """Let the connections of an engine tell."""
    event.listen(engine, "connect", lambda driver, _record: hear(driver, note))


def install_triggers(driver: Driver, watched: Sequence[str]) -> None:
    """Let the tables tell what is done to their rows."""
    there = {
        name for (name,) in driver.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    }
    driver.execute(FUNCTION)
    for table in sorted(there & set(watched)):
        driver.execute(
            f"CREATE OR REPLACE TRIGGER simulation_note AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION simulation_note()"
        )
