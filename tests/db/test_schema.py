"""The migrations and the tables in the code say the same."""

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event, text

from app.db import migrate as migrating
from app.db import schema
from app.db.engine import Database, open_database
from app.db.migrate import head, migrate, open_for_migration
from app.db.tables import HEAD, VERSION_TABLE, WHERE, metadata
from app.domain.errors import DatabaseUnavailable

pytestmark = pytest.mark.anyio


def test_the_code_knows_the_newest_migration() -> None:
    """The constant that a start compares with is the newest file."""
    assert head() == HEAD


def test_the_migrations_make_what_the_code_describes(database_url: str) -> None:
    """Autogenerate finds nothing to do, and proposes nothing for the bot's tables."""
    with open_for_migration(database_url) as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": VERSION_TABLE,
                "include_name": lambda name, kind, _: kind != "table" or name in metadata.tables,
            },
        )
        assert compare_metadata(context, metadata) == []


def test_the_indexes_have_the_conditions_that_the_code_describes(sqlite_url: str) -> None:
    """Word for word, as SQLite keeps them; Alembic does not compare them."""
    with open_for_migration(sqlite_url) as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE type = 'index'")
        kept = {str(row[0]): str(row[1]) for row in rows}
    described = [index for table in metadata.tables.values() for index in table.indexes]
    assert any(WHERE in index.info for index in described)
    for index in described:
        condition = index.info[WHERE].text if WHERE in index.info else ""
        assert kept[str(index.name)].partition(" WHERE ")[2] == condition, index.name


def test_migrating_again_changes_nothing(database_url: str) -> None:
    """A second run finds it done: no statement of it is one that changes."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement.split(maxsplit=1)[0].upper())

    event.listen(Engine, "before_cursor_execute", note)
    try:
        migrate(database_url)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert "SELECT" in statements
    assert set(statements) & {"CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "DELETE"} == set()


def test_a_migration_does_not_wait_for_ever(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else migrates on PostgreSQL, it gives up after its patience and says why."""
    monkeypatch.setattr(migrating, "PATIENCE", "50ms")
    with open_for_migration(postgres_url), pytest.raises(DatabaseUnavailable, match="another migration runs"):
        migrate(postgres_url)
    migrate(postgres_url)


async def test_a_migrated_database_is_not_behind(database: Database) -> None:
    """What was just migrated may be started on."""
    assert not await schema.is_behind(database)


async def test_a_newer_database_is_left_as_it_is(tmp_path: Path) -> None:
    """Migrations only add, so a version that is rolled back, or not replaced yet, starts on it."""
    url = f"sqlite:///{tmp_path}/newer.db"
    migrate(url)
    with open_for_migration(url) as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))
    migrate(url)
    database = open_database(url)
    try:
        assert await database.read(schema.version_of) == "9999"
        assert not await schema.is_behind(database)
    finally:
        await database.close()


async def test_an_empty_database_is_behind(tmp_path: object) -> None:
    """A database we never touched needs its migration first."""
    database = open_database(f"sqlite:///{tmp_path}/empty.db")
    try:
        assert await schema.is_behind(database)
    finally:
        await database.close()
