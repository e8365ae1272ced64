"""DATABASE_URL as the bot writes it."""

import asyncio
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.db.backup import back_up
from app.db.engine import open_database
from app.db.migrate import migrate
from app.db.pooler import connect_loose, is_shared
from app.db.session import connect_options, split_options
from app.db.url import libpq_options, parse_url
from app.domain.errors import DatabaseUnfit
from tests.fakes import START
from tests.pgbouncer import start_pgbouncer


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


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://b@h1:5432,h2:5433/d", {"host": "h1,h2", "port": "5432,5433"}),
        ("postgres://b@h1,h2:5433/d", {"host": "h1,h2", "port": ",5433"}),
        ("postgresql://b@[::1]:5,[::2]/d", {"host": "::1,::2", "port": "5,"}),
        ("postgresql+asyncpg://b@/d?host=h1:1&host=h2:2", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql://b@/d?host=h1,h2&port=1,2", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql://b@/d?host=/run/postgresql", {"host": "/run/postgresql"}),
        ("postgresql://b@%2Frun%2Fpostgresql/d", {"host": "/run/postgresql"}),
        ("postgresql://b@h/d?port=7", {"host": "h", "port": "7"}),
        ("postgresql://b@h/?dbname=d&ssl=off", {"host": "h", "sslmode": "disable"}),
        ("postgresql+asyncpg://b@h/?database=d&timeout=2.5", {"host": "h", "connect_timeout": "3"}),
        ("postgresql+asyncpg://b@h/d?direct_tls=true&timeout=x", {"connect_timeout": "x", "sslnegotiation": "direct"}),
        ("postgresql://b@h/d?options=-csearch_path%3Dbot", {"host": "h", "options": "-csearch_path=bot"}),
        ("postgresql://c:w@h/d?user=b&password=wo%3Fd", {"host": "h", "password": "wo?d"}),
        ("postgresql://b:a/b,c@h/d", {"host": "h", "password": "a/b,c"}),
    ],
)
def test_every_spelling_is_libpq_s_in_the_end(given: str, expected: dict[str, str]) -> None:
    """The server, the listener and pg_dump are given the same options, which libpq understands."""
    options = libpq_options(given)
    assert {"user": "b", "dbname": "d", **expected}.items() <= options.items()
    assert conninfo_to_dict(make_conninfo("", **options)) == options


@pytest.mark.parametrize(
    ("options", "settings", "rest"),
    [
        ("-c search_path=bot", {"search_path": "bot"}, ""),
        (r"-csearch_path=bot,\ public --lock-timeout=1s", {"search_path": "bot, public", "lock_timeout": "1s"}, ""),
        ("endpoint=ep-1 -c geqo=off -c", {"geqo": "off"}, "endpoint=ep-1 -c"),
        ("", {}, ""),
    ],
)
def test_settings_in_the_url_are_told_from_the_rest(options: str, settings: dict[str, str], rest: str) -> None:
    """A pooler refuses settings at the beginning of a session; what a provider's proxy reads there stays."""
    assert split_options(options) == (settings, rest)


@pytest.mark.parametrize(
    ("url", "seconds"), [("h/d", "5"), ("h1,h2/d", "4"), ("a,b,c,d,e/d", "2"), ("h/d?connect_timeout=9", "9")]
)
def test_the_last_of_several_hosts_is_reached_in_time(url: str, seconds: str) -> None:
    """All of them together have less than a delivery; the URL's own timeout stands."""
    assert connect_options(f"postgresql://{url}", "test")["connect_timeout"] == seconds


def test_several_hosts_work_for_everybody(postgres_url: str, free_tcp_port: int, tmp_path: Path, pg_dump: Path) -> None:
    """The first one is not there: the server, the listener and a backup go on to the second."""
    with start_pgbouncer(postgres_url, "session") as url:  # which listens on a port
        head, _, tail = url.partition("@")
        both = f"{head}@127.0.0.1:{free_tcp_port},{tail}?target_session_attrs=read-write"

        async def ask() -> list[object]:
            database = open_database(both)
            try:
                asked = await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one())
            finally:
                await database.close()
            async with await connect_loose(both, "test") as connection:
                return [asked, await is_shared(connection, lambda: connect_loose(both, "test"))]

        assert asyncio.run(ask()) == [1, False]
        assert back_up(both, tmp_path, START).stat().st_size > 0


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
