"""Our tables from one database to another, all of them or nothing."""

from collections.abc import Generator, Mapping
from contextlib import closing
from itertools import zip_longest
from typing import Any

from sqlalchemy import Table, Update, delete, func, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from app.db.migrate import migrate, open_for_migration
from app.db.tables import deliveries, metadata, notifications
from app.db.url import sqlite_file
from app.domain.errors import CopyFailed, OldNotClosed

BATCH = 500  # rows held in memory
QUEUES = (deliveries, notifications)


def copy_database(source_url: str, target_url: str) -> dict[str, int]:
    """Copy our tables into a database that holds none of our rows; return the number of rows by table.

    Both are locked for writing meanwhile, so a server that still runs on the old one answers 503 and fal comes again.
    Every copied row is compared before the new database's commit. What is unfinished in the old one is closed there as
    `moved`, in a commit right after: a server started on it by mistake applies and tells nothing twice. The bot's
    tables are the bot's to move.
    Raises CopyFailed; OldNotClosed when the second commit failed, or the first without an answer; DatabaseUnavailable
    when one of the two cannot be reached, or another migration holds it.
    """
    migrate(source_url)
    migrate(target_url)
    is_whole = is_copied = False
    try:
        if _is_same(source_url, target_url):
            raise CopyFailed("same_database")
        with open_for_migration(source_url) as source:
            _lock(source)
            with open_for_migration(target_url) as target:
                _lock(target)
                _require_empty(target)
                # A table's name is SQLAlchemy's own kind of str, which JSON keys must not be.
                copied = {str(table.name): _copy(source, target, table) for table in metadata.sorted_tables}
                for statement in _closing():  # before the first commit, so that of the second only the commit can fail
                    source.execute(statement)
                is_whole = True
            is_copied = True
    except DBAPIError as error:
        cause = str(error.orig).partition("\n")[0]
        if is_copied:
            raise OldNotClosed("old_open", cause=cause) from error
        if is_whole and error.connection_invalidated:
            raise OldNotClosed("commit_unknown", cause=cause) from error
        raise CopyFailed("database", cause=cause) from error
    return copied


def closing_statements() -> list[str]:
    """Spell in SQL, for psql and sqlite3, what closes a database that was copied."""
    return [f"{statement.compile(compile_kwargs={'literal_binds': True})};" for statement in _closing()]


def _closing() -> list[Update]:
    return [update(table).where(table.c.state == "pending").values(state="ignored", reason="moved") for table in QUEUES]


def _is_same(source_url: str, target_url: str) -> bool:
    """Tell whether both lead to one database, whatever the spelling: it would wait for its own lock."""
    source, target = sqlite_file(source_url), sqlite_file(target_url)
    if source is not None and target is not None:
        return source.samefile(target)
    return source is target is None and _identity(source_url) == _identity(target_url)


def _identity(postgres_url: str) -> tuple[Any, ...]:
    """Name a database by what no two share: when its server started, to the microsecond, and its number there."""
    statement = text("SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()")
    with open_for_migration(postgres_url) as connection:
        return tuple(connection.execute(statement).one())


def _lock(connection: Connection) -> None:
    # SQLite's write lock was taken with the transaction.
    if connection.dialect.name != "sqlite":
        names = ", ".join(table.name for table in metadata.sorted_tables)
        connection.execute(text(f"LOCK TABLE {names} IN SHARE ROW EXCLUSIVE MODE"))


def _require_empty(target: Connection) -> None:
    for table in QUEUES:
        if count := target.execute(select(func.count()).select_from(table)).scalar_one():
            raise CopyFailed("target_in_use", count=count, table=table.name)


def _copy(source: Connection, target: Connection, table: Table) -> int:
    target.execute(delete(table))  # pacing and chores of a server that was started on the empty target
    count = 0
    for rows in _rows(source, table).partitions(BATCH):
        target.execute(insert(table), [_storable(row) for row in rows])
        count += len(rows)
    with closing(_each(source, table)) as olds, closing(_each(target, table)) as news:
        for old, new in zip_longest(olds, news):
            if old is None or new is None or _storable(old) != dict(new):
                raise CopyFailed("row_differs", table=table.name)
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
