"""The bot's tables as its revisions make them: how enum columns are spelt, and databases of each kind."""

import uuid
from collections.abc import Callable

import psycopg

from app.db.engine import Database, open_database
from app.db.migrate import migrate
from app.db.tables import metadata
from tests.factories import BOT_TABLES, native_enums
from tests.postgres import with_database

SPELLINGS: dict[str, tuple[str, Callable[[str], str]]] = {
    "varchar lower": (BOT_TABLES, str.lower),
    "varchar upper": (BOT_TABLES, str.upper),
    "native lower": (native_enums(upper=False), str.lower),
    "native upper": (native_enums(upper=True), str.upper),
}  # the tables, and how a word is written


_kept: dict[tuple[str, str], Database] = {}


def kept_database(server: str, tables: str) -> Database:
    """An empty database on a PostgreSQL server with these tables of the bot's and ours: made once, then emptied.

    Its threads end with the process.
    """
    database = _kept.get((server, tables))
    if database is None:
        database = open_database(_made(server, f"kept_{len(_kept)}_{uuid.uuid4().hex[:8]}", tables))
        _kept[server, tables] = database
    with database.engine.begin() as transaction:
        for table in ("avatars", "users", *metadata.tables):
            transaction.exec_driver_sql(f"DELETE FROM {table}")
    return database


def _made(server: str, name: str, tables: str) -> str:
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = with_database(server, name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(tables)
    migrate(url)
    return url
