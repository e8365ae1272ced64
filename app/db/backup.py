"""A copy of the database while it is in use."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from pathlib import Path

from app.db.pooler import connect_loose, is_shared
from app.db.url import SECRET_OPTIONS, libpq_options, sqlite_file
from app.domain.errors import BackupFailed

OURS = "webhook_*"


def back_up(database_url: str, folder: Path, now: datetime) -> Path:
    """Copy the database into `folder` and prove the copy; return its path.

    SQLite: the whole file, by its own online backup, checked page by page. PostgreSQL: our tables, by pg_dump; the
    bot's tables are the bot's to back up. Raises BackupFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    source = sqlite_file(database_url)
    if source is None:
        return _dump(database_url, folder / f"aisha-{stamp}.dump")
    return _copy(source, folder / f"aisha-{stamp}.db")


def _copy(source: Path, target: Path) -> Path:
    if not source.exists():
        raise BackupFailed(f"{source} does not exist: there is nothing to back up")
    partial = target.with_suffix(".partial")
    _make_private(partial)
    try:
        with closing(sqlite3.connect(source)) as live, closing(sqlite3.connect(partial)) as copy:
            live.backup(copy)  # in one step: between steps each commit of the server would restart the copy
            verdict = copy.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise BackupFailed(f"the copy of {source} is damaged ({verdict}): keep older backups and see the runbook")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except sqlite3.Error as error:
        raise BackupFailed(f"{source} could not be copied: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _make_private(path: Path) -> None:
    """Make an empty file that only we can read: it will hold what people typed."""
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))


def _dump(database_url: str, target: Path) -> Path:
    program = shutil.which("pg_dump")
    if program is None:
        raise BackupFailed("pg_dump is missing: sudo apt install postgresql-client")
    options = libpq_options(database_url)
    _require_own_session(database_url)
    partial = target.with_suffix(".partial")
    command = [program, "--format=custom", f"--table={OURS}", f"--file={partial}"]
    environment = dict(os.environ)  # noqa: TID251  pg_dump's own interface
    # A secret goes by the environment: arguments can be read by every account.
    for name in SECRET_OPTIONS & options.keys():
        if name != "password":
            raise BackupFailed(f"pg_dump takes {name} only as an argument, which everybody can read: use a key without")
        environment["PGPASSWORD"] = options.pop(name)
    _make_private(partial)
    try:
        subprocess.run([*command, "--dbname", _conninfo(options)], env=environment, check=True, capture_output=True)  # noqa: S603  a fixed program
        partial.replace(target)
    except subprocess.CalledProcessError as error:
        raise BackupFailed(f"pg_dump failed: {error.stderr.decode(errors='replace').strip()}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def _conninfo(options: dict[str, str]) -> str:
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415  SQLite need not pay for it

    return make_conninfo("", **options)


def _require_own_session(database_url: str) -> None:
    """Raise BackupFailed where a pooler would keep what pg_dump sets on a session, for the bot's next transaction."""
    import psycopg  # noqa: PLC0415  as above

    def connect() -> Awaitable[psycopg.AsyncConnection]:
        return connect_loose(database_url, "aisha-webhook backup")

    async def look() -> bool:
        async with await connect() as connection:
            return await is_shared(connection, connect)

    try:
        with ThreadPoolExecutor(1) as aside:  # the caller may have a loop of its own
            shared = aside.submit(lambda: asyncio.run(look())).result()
    except psycopg.Error:
        return  # pg_dump says it
    if shared:
        raise BackupFailed(
            "DATABASE_URL leads through a pooler in transaction mode, which would keep pg_dump's settings for others: "
            "give this command a DATABASE_URL that leads to PostgreSQL itself, most often port 5432"
        )
