"""A failing step's reason is in words, and holds no value of any row."""

import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import exc, text

from app.db.engine import Connection, Database
from app.db.reasons import reason_of
from app.domain.errors import DatabaseUnavailable

pytestmark = pytest.mark.anyio

SECRET = "canary-7f3a"


class Driver(Exception):
    """An error of PostgreSQL's driver."""

    def __init__(self, state: str, words: str) -> None:
        super().__init__(words)
        self.sqlstate = state


@pytest.mark.parametrize(
    ("state", "words", "expected"),
    [
        ("42703", 'column "word" does not exist\nLINE 1: …', ("table_changed", "column word does not exist")),
        ("42P01", 'relation "avatars" does not exist', ("table_changed", "relation avatars does not exist")),
        ("42501", "permission denied for table avatars", ("right_missing", "permission denied for table avatars")),
        ("42501", f"denied because {SECRET}", ("right_missing", "42501")),
        ("P0001", f"no more of {SECRET}", ("raised_inside", "P0001")),
        ("22007", f'invalid input syntax: "{SECRET}"', ("value_refused", "22007")),
        ("23514", f"check violated by {SECRET}", ("raised_inside", "23514")),
        ("53100", "could not extend file", ("no_room", "53100")),
        ("57P01", "terminating connection", ("database_away", "57P01")),
        ("57014", "canceling statement", ("locked", "57014")),
        ("28P01", f'password authentication failed for user "{SECRET}"', ("login_refused", "28P01")),
    ],
)
def test_each_class_of_trouble_has_its_reason(state: str, words: str, expected: tuple[str, str]) -> None:
    """By PostgreSQL's own codes; names of the schema may be shown, other words may not."""
    driver = Driver(state, words)
    error = DatabaseUnavailable(words)
    error.__cause__ = exc.DBAPIError("SELECT", {}, driver)
    assert reason_of(error) == expected
    assert reason_of(exc.DBAPIError("SELECT", {}, driver)) == expected


def test_what_is_no_databases_is_a_bug_of_ours() -> None:
    """Its type is named, its words are not."""
    assert reason_of(KeyError(SECRET)) == ("bug", "KeyError")
    assert reason_of(DatabaseUnavailable(SECRET)) == ("database_away", "")


async def test_a_missing_column_is_named_and_no_row_is_to_blame(database: Database) -> None:
    """On both databases it is unavailability: what is due stays due until the column is back."""

    def ask(connection: Connection) -> None:
        connection.execute(text("SELECT no_such_column FROM webhook_deliveries"))

    with pytest.raises(DatabaseUnavailable) as caught:
        await database.write(ask)
    reason, named = reason_of(caught.value)
    assert (reason, "no_such_column" in named) == ("table_changed", True)


def test_a_trigger_that_raises_on_sqlite() -> None:
    """SQLite calls it a constraint."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(
            "CREATE TABLE t (a); CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'no'); END;"
        )
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute("INSERT INTO t VALUES (1)")
    assert reason_of(caught.value)[0] == "raised_inside"
