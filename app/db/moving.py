"""Our tables from one database to another, all of them or nothing."""

from collections.abc import Generator, Mapping
from contextlib import closing
from itertools import zip_longest
from typing import Any

from sqlalchemy import Table, delete, func, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from app.db.migrate import migrate, open_for_migration
from app.db.tables import deliveries, metadata, notifications
from app.domain.errors import AishaError

BATCH = 500  # rows held in memory
QUEUES = (deliveries, notifications)


class CopyFailed(AishaError):
    """Nothing was copied; the message says why and what to do."""


def copy_database(source_url: str, target_url: str) -> dict[str, int]:
    """Copy our tables into a database that holds none of our rows; return the number of rows by table.

    Both are locked for writing meanwhile, so a server that still runs on the old one answers 503 and fal comes again.
    Every copied row is compared before the one commit. What is unfinished in the old database is closed there as
    `moved`: a server started on it by mistake applies and tells nothing twice. The bot's tables are the bot's to move.
    Raises CopyFailed, or DatabaseUnavailable when the target cannot be reached.
    """
    if source_url == target_url:
        raise CopyFailed("the source and the target are the same database")
    migrate(source_url)
    migrate(target_url)
    try:
        with open_for_migration(source_url) as source:
            _lock(source)
            with open_for_migration(target_url) as target:
                _lock(target)
                _require_empty(target)
                copied = {table.name: _copy(source, target, table) for table in metadata.sorted_tables}
            _retire(source)
    except DBAPIError as error:
        raise CopyFailed(str(error.orig).partition("\n")[0]) from error
    return copied


def _lock(connection: Connection) -> None:
    # SQLite's write lock was taken with the transaction.
    if connection.dialect.name != "sqlite":
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))


def _require_empty(target: Connection) -> None:
    for table in QUEUES:
        if count := target.execute(select(func.count()).select_from(table)).scalar_one():
            raise CopyFailed(f"the target already holds {count} rows in {table.name}: take an empty database")


def _copy(source: Connection, target: Connection, table: Table) -> int:
    target.execute(delete(table))  # pacing and chores of a server that was started on the empty target
    count = 0
    for rows in _rows(source, table).partitions(BATCH):
        target.execute(insert(table), [_storable(row) for row in rows])
        count += len(rows)
    with closing(_each(source, table)) as olds, closing(_each(target, table)) as news:
        for old, new in zip_longest(olds, news):
            if old is None or new is None or _storable(old) != dict(new):
                raise CopyFailed(f"a row of {table.name} did not arrive as it was: nothing was copied")
    if target.dialect.name != "sqlite" and "id" in table.c and count:
        target.execute(select(func.setval(func.pg_get_serial_sequence(table.name, "id"), func.max(table.c.id))))
    return count


def _rows(connection: Connection, table: Table) -> Any:
    statement = select(table).order_by(*table.primary_key.columns)
    return connection.execute(statement, execution_options={"yield_per": BATCH}).mappings()


def _each(connection: Connection, table: Table) -> Generator[Mapping[str, Any], None, None]:
    with closing(_rows(connection, table)) as rows:
        yield from rows


def _storable(row: Mapping[str, Any]) -> dict[str, Any]:
    """PostgreSQL's text holds no NUL."""
    return {name: value.replace("\0", "\ufffd") if isinstance(value, str) else value for name, value in row.items()}


def _retire(source: Connection) -> None:
    for table in QUEUES:
        source.execute(update(table).where(table.c.state == "pending").values(state="ignored", reason="moved"))
