"""What docs/backup.md says of restoring gives the rows back: its own commands, run as they stand."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from app.db.backup import back_up
from app.db.engine import open_database
from tests.contract.test_backup import pg_dump, put, stored  # noqa: F401  a fixture and what fills a database
from tests.factories import ok_body
from tests.fakes import START

pytestmark = pytest.mark.anyio

PAGES = Path(__file__).parents[2] / "docs"
ACCOUNT = "postgresql://aisha@127.0.0.1/aisha"


def commands(kind: str) -> str:
    """The block of docs/backup.md that restores this kind of database."""
    page = (PAGES / "backup.md").read_text()
    [block] = re.findall(rf"<!-- restores: {kind} -->\n```bash\n(.*?)```", page, re.DOTALL)
    text: str = block
    return text


def run(text: str, folder: Path, url: str) -> None:
    """Type it in this folder; `sudo` (units, owners) is a word that does nothing here."""
    (folder / "bin").mkdir()
    for name, script in (("sudo", "exit 0"), ("aisha-webhook", f'exec {sys.executable} -m app.cli "$@"')):
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    environment = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",  # noqa: TID251  what the test itself runs with
        "PYTHONPATH": str(PAGES.parent),
        "HOME": str(folder),
        "DATABASE_URL": url,
        "DEFAULT_LANGUAGE": "en",
    }
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


async def rows(url: str) -> dict[str, bytes]:
    database = open_database(url)
    try:
        return await stored(database)
    finally:
        await database.close()


async def fill(url: str, *request_ids: str) -> None:
    database = open_database(url)
    await put(database, *request_ids)
    await database.close()


async def test_sqlite_comes_back_as_it_was(tmp_path: Path, sqlite_template: Path) -> None:
    """Rows of the copy are there, rows after it are not, and the former file is kept."""
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(sqlite_template, data / "aisha.db")
    url = f"sqlite:///{data}/aisha.db"
    await fill(url, "before")
    back_up(url, data / "backups", START)
    await fill(url, "after")
    run(commands("sqlite"), tmp_path, url)
    assert await rows(url) == {"before": ok_body("before")}
    assert set(await rows(f"sqlite:///{data}/aisha.db.before")) == {"before", "after"}


@pytest.mark.usefixtures("pg_dump")
async def test_postgresql_comes_back_as_it_was(tmp_path: Path, postgres_url: str) -> None:
    """Our tables are those of the copy, number sequences included; the bot's are untouched."""
    await fill(postgres_url, "before")
    back_up(postgres_url, tmp_path / "data" / "backups", START)
    await fill(postgres_url, "after")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO users (id, telegram_id) VALUES (gen_random_uuid(), '1')")
    run(commands("postgresql").replace(ACCOUNT, postgres_url), tmp_path, postgres_url)
    assert set(await rows(postgres_url)) == {"before"}
    await fill(postgres_url, "next")
    assert set(await rows(postgres_url)) == {"before", "next"}
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM users").fetchone() == (1,)


@pytest.mark.parametrize("page", ["runbook.md", "runbook.ru.md"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_runbook_restores_by_the_same_commands(page: str, kind: str) -> None:
    """What brings the copy back in the drill is what is tried here."""
    [decisive] = re.findall(r"^(?:cp|pg_restore) .*", commands(kind).replace("\\\n  ", ""), re.MULTILINE)
    assert decisive in (PAGES / page).read_text()
