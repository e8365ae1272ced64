"""A backup is taken while the server writes, is proven, and gives the same rows back."""

import os
import sqlite3
import stat
import subprocess
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import TupleRow
from sqlalchemy import select

from app.db import inbox
from app.db.backup import back_up
from app.db.engine import Database, open_database
from app.db.tables import HEAD, deliveries
from app.db.url import parse_url, sqlite_file
from app.domain.errors import BackupFailed
from tests.factories import Bot, delivery, ok_body
from tests.fakes import START
from tests.postgres import with_database

pytestmark = pytest.mark.anyio

NAME = "aisha-20261122T120000Z"


async def put(database: Database, *request_ids: str) -> None:
    with database.engine.begin() as transaction:
        inbox.put(transaction, [(delivery(request_id), START) for request_id in request_ids])


async def stored(database: Database) -> dict[str, bytes]:
    with database.engine.connect() as connection:
        rows = connection.execute(select(deliveries.c.request_id, deliveries.c.body))
        return {row.request_id: row.body for row in rows}


def source_of(url: str) -> Path:
    path = sqlite_file(url)
    assert path is not None
    return path


async def test_a_copy_gives_the_same_rows(sqlite_url: str, tmp_path: Path) -> None:
    """The copy is opened like any database and holds what was committed, WAL included."""
    database = open_database(sqlite_url)
    await put(database, "r1", "r2")
    path = back_up(sqlite_url, tmp_path / "backups", START)
    await database.close()
    restored = open_database(f"sqlite:///{path}")
    assert await stored(restored) == {"r1": ok_body("r1"), "r2": ok_body("r2")}
    await restored.close()


def test_a_copy_is_named_after_its_moment_and_for_our_eyes_only(sqlite_url: str, tmp_path: Path) -> None:
    """UTC in the name, mode 0600, and nothing half-made beside it."""
    path = back_up(sqlite_url, tmp_path / "backups", START)
    assert path == tmp_path / "backups" / f"{NAME}.db"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_later_backup_leaves_the_earlier_one(sqlite_url: str, tmp_path: Path) -> None:
    """Two moments, two files."""
    first = back_up(sqlite_url, tmp_path, START)
    second = back_up(sqlite_url, tmp_path, START + timedelta(seconds=1))
    assert first.exists()
    assert second.exists()
    assert first != second


async def test_what_is_not_committed_is_not_copied(sqlite_url: str, tmp_path: Path) -> None:
    """A backup in the middle of a transaction neither waits for it nor takes half of it."""
    database = open_database(sqlite_url)
    await put(database, "r1")
    with database.engine.begin() as transaction:
        inbox.put(transaction, [(delivery("half"), START)])
        path = back_up(sqlite_url, tmp_path / "backups", START)
    await database.close()
    restored = open_database(f"sqlite:///{path}")
    assert set(await stored(restored)) == {"r1"}
    await restored.close()


def test_a_backup_ends_although_the_server_goes_on_writing(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commits made meanwhile do not make the copy begin again from its first page."""
    with closing(sqlite3.connect(source_of(sqlite_url), isolation_level=None)) as server:
        server.execute("CREATE TABLE ballast (id INTEGER PRIMARY KEY, number INTEGER, body BLOB)")
        server.executemany("INSERT INTO ballast (number, body) VALUES (0, zeroblob(1000000))", [()] * 20)
        steps: list[int] = []

        def commit_meanwhile(_status: int, left: int, _total: int) -> None:
            server.execute("UPDATE ballast SET number = number + 1 WHERE id = 1")
            steps.append(left)
            if len(steps) > 50:
                raise BackupFailed(f"{left} pages are left after {len(steps)} steps")

        class Watched(sqlite3.Connection):
            def backup(self, target, *, pages=-1, **options):  # noqa: ANN001, ANN003, ANN202  sqlite3's own signature
                super().backup(target, pages=pages, progress=commit_meanwhile, **options)

        real = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda path: real(path, factory=Watched))
        back_up(sqlite_url, tmp_path / "backups", START)
        assert steps[-1] == 0


def test_a_missing_database_is_named(tmp_path: Path) -> None:
    """There is nothing to back up, and no empty file is left to look like a backup."""
    with pytest.raises(BackupFailed, match="does not exist"):
        back_up(f"sqlite:///{tmp_path}/none.db", tmp_path / "backups", START)
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_damaged_database_gives_no_backup(sqlite_url: str, tmp_path: Path) -> None:
    """A copy of damaged pages would push the good copies out: none is made, and the sentence says so."""
    source = source_of(sqlite_url)
    content = bytearray(source.read_bytes())
    content[2 * 4096 :] = b"\xa5" * (len(content) - 2 * 4096)
    source.write_bytes(content)
    with pytest.raises(BackupFailed):
        back_up(sqlite_url, tmp_path / "backups", START)
    assert list((tmp_path / "backups").iterdir()) == []


async def test_postgresqls_own_dump_gives_the_same_rows(
    postgres: str, postgres_url: str, tmp_path: Path, pg_dump: Path
) -> None:
    """Restored into an empty database, our tables hold what they held; the bot's are left to the bot."""
    database = open_database(postgres_url)
    await Bot(database).train("r1")
    await put(database, "r1", "r2")
    await database.close()
    path = back_up(postgres_url, tmp_path / "backups", START)
    assert (path.name, stat.S_IMODE(path.stat().st_mode)) == (f"{NAME}.dump", 0o600)
    name = f"restored_{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            url = with_database(postgres, name)
            run_restore(pg_dump, url, path)
            assert dict(read(url, "SELECT request_id, body FROM webhook_deliveries")) == {
                "r1": ok_body("r1"),
                "r2": ok_body("r2"),
            }
            assert read(url, "SELECT to_regclass('avatars'), to_regclass('users')") == [(None, None)]
            assert read(url, "SELECT version_num FROM webhook_schema_version") == [(HEAD,)]
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def read(url: str, statement: str) -> list[TupleRow]:
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode()).fetchall()


def run_restore(folder: Path, url: str, path: Path) -> None:
    subprocess.run([str(folder / "pg_restore"), "--no-owner", "--dbname", url, str(path)], check=True)


def test_a_missing_pg_dump_is_named_with_its_remedy(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not a traceback: what to install."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupFailed, match="apt install postgresql-client"):
        back_up(postgres_url, tmp_path, START)


def test_what_pg_dump_says_is_passed_on(postgres_url: str, tmp_path: Path, pg_dump: Path) -> None:
    """A database that is not there: pg_dump's own sentence, and no file."""
    with pytest.raises(BackupFailed, match=r'pg_dump failed: .*database "nowhere" does not exist'):
        back_up(with_database(postgres_url, "nowhere"), tmp_path / "backups", START)
    assert list((tmp_path / "backups").iterdir()) == []


SPY = """#!/bin/sh
for word in "$@"; do
  echo "$word" >> {folder}/words
  case "$word" in --file=*) echo copy > "${{word#--file=}}" ;; esac
done
echo "$PGPASSWORD" > {folder}/password
"""


def spied_dump(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """What pg_dump is called with, and the password in its environment."""
    (tmp_path / "pg_dump").write_text(SPY.format(folder=tmp_path))
    (tmp_path / "pg_dump").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    back_up(url, tmp_path / "backups", START)
    return (tmp_path / "words").read_text(), (tmp_path / "password").read_text().strip()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+asyncpg://bot:canary-7f3a@127.0.0.1:1/aisha",
        "postgresql://bot@127.0.0.1:1/aisha?password=canary-7f3a",
        "postgresql://bot:canary-7f3a@127.0.0.1:1,127.0.0.1:2/aisha?target_session_attrs=read-write",
    ],
)
def test_the_password_goes_to_pg_dump_by_the_environment(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line, which every account may read, holds the rest of the URL, wherever the password stood (I7)."""
    words, password = spied_dump(url, tmp_path, monkeypatch)
    assert password == "canary-7f3a"
    assert "canary" not in words
    assert {"user=bot", "dbname=aisha"} <= set(words.split())
    assert ("host=127.0.0.1,127.0.0.1" in words) is ("," in url)


def test_a_secret_that_pg_dump_takes_only_as_an_argument_is_not_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The backup is refused with the option's name."""
    with pytest.raises(BackupFailed, match="takes sslpassword only as an argument"):
        spied_dump("postgresql://bot@127.0.0.1:1/aisha?sslpassword=canary-7f3a", tmp_path, monkeypatch)


def test_every_spelling_of_the_url_is_understood() -> None:
    """The bot's driver and the old scheme lead to the same database."""
    spellings = ("postgres://b@h/d", "postgresql://b@h/d", "postgresql+asyncpg://b@h/d")
    assert {parse_url(url).render_as_string() for url in spellings} == {"postgresql+psycopg://b@h/d"}
