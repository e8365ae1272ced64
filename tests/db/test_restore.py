"""What docs/backup.md says of restoring gives the rows back: its own commands, run as they stand."""

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.config import Config

from app.db.backup import back_up
from app.db.engine import open_database
from app.db.migrate import ROOT, migrate
from app.db.tables import HEAD, VERSION_TABLE
from tests.db.test_backup import put, stored
from tests.factories import BOT_TABLES, ok_body
from tests.fakes import START
from tests.postgres import with_database

pytestmark = pytest.mark.anyio

PAGES = Path(__file__).parents[2] / "docs"
ACCOUNT = "postgresql://aisha@127.0.0.1/aisha"


def commands(kind: str, name: str = "backup.md") -> str:
    """The block of a page that restores this kind of database."""
    page = (PAGES / name).read_text()
    [block] = re.findall(rf"<!-- restores: {kind} -->\n```bash\n(.*?)```", page, re.DOTALL)
    text: str = block
    return text


DOCKER = """#!/bin/bash
if [[ "$*" == "compose run --rm migrate" ]]; then exec aisha-webhook migrate; fi
if [[ "$*" != "compose exec -T postgres "* ]]; then exit 0; fi
program=$5 words=()
shift 5
while (($#)); do
    case $1 in -U | -d) shift ;; aisha) ;; *) words+=("$1") ;; esac
    shift
done
if [[ $program != pg_restore ]]; then words=(--dbname="$DATABASE_URL" "${words[@]}"); fi
exec "$program" "${words[@]}"
"""  # what is run in the container of PostgreSQL runs here, on the test's database


def run(text: str, folder: Path, url: str) -> None:
    """Type it in this folder; no command fails."""
    done = typed(text, folder, url, "-eo", "pipefail")
    assert done.returncode == 0, done.stderr


def typed(text: str, folder: Path, url: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Type it in this folder; `sudo` (units, owners) is a word that does nothing here."""
    (folder / "bin").mkdir(exist_ok=True)
    migrating = f'#!/bin/sh\nexec {sys.executable} -m app.cli "$@"\n'
    for name, script in (("sudo", "#!/bin/sh\n"), ("aisha-webhook", migrating), ("docker", DOCKER)):
        (folder / "bin" / name).write_text(script)
        (folder / "bin" / name).chmod(0o755)
    environment = {
        "PATH": f"{folder}/bin:{os.environ['PATH']}",  # noqa: TID251  what the test itself runs with
        "PYTHONPATH": str(PAGES.parent),
        "HOME": str(folder),
        "DATABASE_URL": url,
        "DEFAULT_LANGUAGE": "en",
    }
    return subprocess.run(
        ["bash", *options, "-c", text],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


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


@pytest.fixture
def before_the_upgrade(postgres: str) -> Iterator[str]:
    """A database of the bot's whose tables of ours are those of the first migration."""
    name = f"restored_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        url = with_database(postgres, name)
        with psycopg.connect(url, autocommit=True) as bot:
            bot.execute(BOT_TABLES)
        config = Config()
        config.set_main_option("script_location", str(ROOT / "migrations"))
        config.attributes["database_url"] = url
        command.upgrade(config, "0001")
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def fill_old(url: str, request_id: str) -> None:
    """Store a delivery as the first version did."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO webhook_deliveries (state, due_at, request_id, body_sha256, body, headers, source,"
            " received_at, stored_at, last_received_at)"
            " VALUES ('pending', %(at)s, %(id)s, 'x', %(body)s, '{}', 'webhook', %(at)s, %(at)s, %(at)s)",
            {"at": START, "id": request_id, "body": ok_body(request_id)},
        )


def dump_in(folder: Path) -> Path:
    [found] = folder.glob("aisha-*.dump")
    return found


def version(url: str) -> str:
    with psycopg.connect(url) as connection:
        [[found]] = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}")
        return str(found)


@pytest.mark.usefixtures("pg_dump")
async def test_a_copy_from_before_an_upgrade_comes_back(tmp_path: Path, before_the_upgrade: str) -> None:
    """What later migrations added does not stand in the way of the copy, nor of migrating it again."""
    url = before_the_upgrade
    fill_old(url, "before")
    back_up(url, tmp_path / "data" / "backups", START)
    migrate(url)
    await fill(url, "after")
    run(commands("postgresql").replace(ACCOUNT, url), tmp_path, url)
    assert version(url) == "0001"
    migrate(url)
    assert await rows(url) == {"before": ok_body("before")}
    assert version(url) == HEAD


@pytest.mark.usefixtures("pg_dump")
async def test_a_copy_made_in_containers_comes_back_whole(tmp_path: Path, before_the_upgrade: str) -> None:
    """docs/deploy-docker.md: the bot's rows too are those of the copy, later tables are gone, ours are the newest."""
    url = before_the_upgrade
    fill_old(url, "before")
    [copying] = re.findall(r"^\(umask 077; .* pg_dump .*\)$", (PAGES / "deploy-docker.md").read_text(), re.MULTILINE)
    run(copying, tmp_path, url)
    dump = dump_in(tmp_path)
    migrate(url)
    await fill(url, "after")
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO users (id, telegram_id) VALUES (gen_random_uuid(), '1')")
        connection.execute("CREATE TABLE made_later (id integer)")
    run(commands("docker", "deploy-docker.md").replace("FILE.dump", dump.name), tmp_path, url)
    assert await rows(url) == {"before": ok_body("before")}
    assert version(url) == HEAD
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*), to_regclass('made_later') FROM users").fetchone() == (0, None)


@pytest.mark.usefixtures("pg_dump")
async def test_a_damaged_copy_takes_nothing_away(tmp_path: Path, postgres_url: str) -> None:
    """Whoever types on after a line that failed still has the rows of before."""
    await fill(postgres_url, "before")
    dump = back_up(postgres_url, tmp_path / "data" / "backups", START)
    dump.write_bytes(dump.read_bytes()[:-200])
    said = typed(commands("postgresql").replace(ACCOUNT, postgres_url), tmp_path, postgres_url).stderr
    assert "pg_restore: error" in said
    assert set(await rows(postgres_url)) == {"before"}


@pytest.mark.parametrize("page", ["runbook.md", "runbook.ru.md"])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_runbook_restores_by_the_same_commands(page: str, kind: str) -> None:
    """What brings the copy back in the drill is what is tried here."""
    [decisive] = re.findall(r"^(?:cp|\(umask) .*(?:\n.*)*?(?=\nsudo)", commands(kind), re.MULTILINE)
    assert f"{decisive}\n" in (PAGES / page).read_text()
