"""DATABASE_URL as the bot writes it."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from app.db.migrate import migrate
from app.db.url import parse_url
from app.domain.errors import DatabaseUnfit


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("?ssl=require", {"sslmode": "require"}),
        ("?ssl=true", {"sslmode": "require"}),
        ("?ssl=verify-full&sslrootcert=/ca.pem", {"sslmode": "verify-full", "sslrootcert": "/ca.pem"}),
        ("?sslmode=disable&ssl=require", {"sslmode": "disable"}),
        ("?prepared_statement_cache_size=0&command_timeout=5", {}),
        ("?application_name=bot", {"application_name": "bot"}),
        ("", {}),
    ],
)
def test_the_bots_options_are_understood(given: str, expected: dict[str, str]) -> None:
    """asyncpg's `ssl` is libpq's `sslmode`; what only asyncpg knows says nothing about the database."""
    assert dict(parse_url(f"postgresql+asyncpg://bot:word@host/aisha{given}").query) == expected


def test_an_option_that_nobody_knows_is_named() -> None:
    """A typo refuses the start with the option's name, and without the password."""
    with pytest.raises(DatabaseUnfit, match=r"DATABASE_URL: .*sslmodus.*remove it") as refused:
        parse_url("postgresql://bot:hush-hush@host/aisha?sslmodus=require")
    assert "hush" not in str(refused.value)


def test_a_database_takes_the_bots_own_url(postgres_url: str) -> None:
    """The spelling with asyncpg's options connects."""
    url = parse_url(postgres_url.replace("postgresql://", "postgresql+asyncpg://") + "&ssl=disable")
    with psycopg.connect(url.set(drivername="postgresql").render_as_string(hide_password=False)) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o640), (0o002, 0o660), (0o077, 0o600), (0, 0o660)])
def test_a_new_sqlite_file_is_not_for_strangers(tmp_path: Path, umask: int, mode: int) -> None:
    """Whatever the umask, others cannot read it; WAL and shared memory take its mode."""
    before = os.umask(umask)
    try:
        migrate(f"sqlite:///{tmp_path}/data/aisha.db")
        with closing(sqlite3.connect(tmp_path / "data" / "aisha.db")) as connection:
            connection.execute("CREATE TABLE scratch (id)")
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(modes, mode)
    assert "aisha.db-wal" in modes
