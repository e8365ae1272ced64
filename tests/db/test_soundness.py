"""A damaged SQLite file is refused at the start, with the way to restore it."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from app.db import engine, schema
from app.db.engine import Database, open_database
from app.db.url import sqlite_file
from app.domain.errors import DatabaseUnavailable, DatabaseUnfit
from app.domain.language import Language

pytestmark = pytest.mark.anyio

PAGE = 4096


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    try:
        yield database
    finally:
        await database.close()


def file_of(url: str) -> Path:
    path = sqlite_file(url)
    assert path is not None
    return path


def overwrite_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[2 * PAGE :] = b"\xa5" * (len(content) - 2 * PAGE)
    path.write_bytes(content)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: 3 * PAGE])


def replace_by_text(path: Path) -> None:
    path.write_text("this is no database\n" * 400)


async def test_a_sound_database_passes(database: Database) -> None:
    """A SQLite file is looked through, PostgreSQL looks after itself."""
    await schema.check_soundness(database)


async def test_a_file_that_is_not_there_yet_passes(tmp_path: Path) -> None:
    """The first start makes it."""
    async with opened(f"sqlite:///{tmp_path}/new.db") as database:
        await schema.check_soundness(database)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("damage", [overwrite_pages, cut_short, replace_by_text])
async def test_a_damaged_file_is_refused(sqlite_url: str, damage: Callable[[Path], None]) -> None:
    """Pages overwritten, cut off, or no database at all: each is found before anything is written (fault 7)."""
    damage(file_of(sqlite_url))
    async with opened(sqlite_url) as database:
        with pytest.raises(DatabaseUnfit, match="damaged"):
            await schema.check_soundness(database)


@pytest.mark.parametrize("language", ["en", "ru"])
async def test_the_refusal_says_what_to_do(sqlite_url: str, language: Language) -> None:
    """Which file, how to restore a backup, and what to do without one, each on a line of its own."""
    path = file_of(sqlite_url)
    overwrite_pages(path)
    async with opened(sqlite_url) as database:
        with pytest.raises(DatabaseUnfit) as refused:
            await schema.check_soundness(database, language)
    what, restore, recover = refused.value.findings
    assert str(path) in what
    assert f"mv {path} {path}.damaged" in restore
    assert f"sqlite3 {path} .recover" in recover
    assert not any("\n" in line for line in refused.value.findings)


async def test_a_very_large_file_is_not_looked_through(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start is not held up for minutes."""
    monkeypatch.setattr(schema, "CHECKED_BYTES", 1)
    overwrite_pages(file_of(sqlite_url))
    async with opened(sqlite_url) as database:
        await schema.check_soundness(database)


async def test_a_locked_database_is_not_called_damaged(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's lock at the start is a reason to try again, not to replace the file (fault 6)."""
    monkeypatch.setattr(engine, "BUSY_TIMEOUT", 20)
    with closing(sqlite3.connect(file_of(sqlite_url), isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")  # keeps readers out, too
        other.execute("BEGIN IMMEDIATE")
        async with opened(sqlite_url) as database:
            with pytest.raises(DatabaseUnavailable, match="locked"):
                await schema.check_soundness(database)
