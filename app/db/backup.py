"""A copy of the database while it is in use."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from datetime import datetime
from pathlib import Path

from app.db.url import parse_url, sqlite_file
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
    url = parse_url(database_url)
    partial = target.with_suffix(".partial")
    command = [program, "--format=custom", f"--table={OURS}", f"--file={partial}"]
    # The URL holds the password: it goes by the environment, where other accounts cannot read it.
    environment = {**os.environ, "PGPASSWORD": url.password or ""}  # noqa: TID251  pg_dump's own interface
    # `set` takes None for "keep".
    plain = url._replace(drivername="postgresql", password=None).render_as_string(hide_password=False)
    _make_private(partial)
    try:
        subprocess.run([*command, "--dbname", plain], env=environment, check=True, capture_output=True, text=True)  # noqa: S603  a fixed program
        partial.replace(target)
    except subprocess.CalledProcessError as error:
        raise BackupFailed(f"pg_dump failed: {error.stderr.strip()}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target
