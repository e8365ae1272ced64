"""examples/: tables that the server accepts, a bot that a reader takes in at one look."""

import ast
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from app.bootstrap.database import check_database
from app.core.config import Settings
from app.db.migrate import migrate
from app.routers.api import router
from app.telegram.wording import GALLERY, GENERATE
from tests.docs.project import ROOT, page
from tests.postgres import with_database

TABLES = "examples/bot_tables.sql"
LONGEST = 90  # lines: "about sixty", its introduction and imports beside it

pytestmark = pytest.mark.anyio


@pytest.fixture
def on_sqlite(tmp_path: Path) -> str:
    """A file in which the example's statements were run."""
    with closing(sqlite3.connect(tmp_path / "bot.db")) as database:
        database.executescript(page(TABLES))
    return f"sqlite:///{tmp_path}/bot.db"


@pytest.fixture
def on_postgresql(postgres: str) -> Iterator[str]:
    """A database in which the example's statements were run."""
    name = f"example_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        url = with_database(postgres, name)
        with psycopg.connect(url, autocommit=True) as database:
            database.execute(page(TABLES).encode())
        yield url
        server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("kind", ["on_sqlite", "on_postgresql"])
async def test_the_server_accepts_the_tables(kind: str, request: pytest.FixtureRequest) -> None:
    """A start on a database with the example's tables and our migrations finds nothing missing."""
    url: str = request.getfixturevalue(kind)
    migrate(url)
    await check_database(Settings(database_url=url))


def test_the_bot_fits_on_a_screen() -> None:
    """About sixty lines of bot, and it is sound Python."""
    ast.parse(page("examples/bot.py"), feature_version=(3, 11))
    assert len(page("examples/bot.py").splitlines()) <= LONGEST


def test_the_bot_answers_what_our_buttons_send() -> None:
    """The callbacks of our messages, the way to register a job: the bot spells them as the server does."""
    text = page("examples/bot.py")
    paths = {route.path for route in router.routes if hasattr(route, "path")}
    assert f'F.data == "{GALLERY}"' in text
    assert f'F.data.startswith("{GENERATE}")' in text
    assert "/api/v1/jobs" in paths
    assert "{SERVER}/api/v1/jobs" in text


def test_the_examples_are_named_where_a_reader_looks() -> None:
    """Installation and README lead to the bot, and the bot to its tables."""
    assert (ROOT / TABLES).is_file()
    for name in ("README.md", "README.ru.md", "docs/install.md", "docs/install.ru.md"):
        assert "examples/bot.py" in page(name), name
    assert "bot_tables.sql" in page("examples/bot.py")
