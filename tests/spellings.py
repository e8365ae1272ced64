"""The bot's tables as its revisions make them: how enum columns are spelt, and databases of each kind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from app.db.migrate import migrate
from tests.factories import BOT_TABLES, native_enums
from tests.postgres import with_database

SPELLINGS: dict[str, tuple[str, Callable[[str], str]]] = {
    "varchar lower": (BOT_TABLES, str.lower),
    "varchar upper": (BOT_TABLES, str.upper),
    "native lower": (native_enums(upper=False), str.lower),
    "native upper": (native_enums(upper=True), str.upper),
}  # the tables, and how a word is written


@contextmanager
def bot_database(server: str, name: str, tables: str) -> Iterator[str]:
    """A fresh database on a PostgreSQL server with these tables of the bot's and ours; its URL."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    url = with_database(server, name)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(tables)
    migrate(url)
    yield url
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
