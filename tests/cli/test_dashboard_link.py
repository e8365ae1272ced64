"""What `dashboard-link` prints."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app
from app.db import operator_access
from app.db.engine import Connection, open_database
from tests.fakes import START


def test_the_link_opens_one_session(database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The link leads to this server's login, and the database holds the sha256 of what it holds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("API_DOMAIN", "hook.example")
    printed = json.loads(CliRunner().invoke(app, ["dashboard-link", "--json"]).stdout)
    assert printed["url"] == f"https://hook.example:8443/dashboard/login?link={printed['link']}"

    def spend(connection: Connection) -> list[str | None]:
        name = sha256(printed["link"].encode()).hexdigest()
        return [operator_access.spend_link(connection, one, START) for one in (printed["link"], name, name)]

    database = open_database(database_url)
    with database.engine.begin() as connection:
        by_itself, by_digest, again = spend(connection)
    database.engine.dispose()
    assert by_itself is None
    assert by_digest
    assert again is None


def test_a_browser_on_this_machine_needs_no_name(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where the server's name leads elsewhere, or nowhere yet, the link is also said for localhost."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("DEFAULT_LANGUAGE", "en")
    said = CliRunner().invoke(app, ["dashboard-link"])
    [url] = said.stdout.splitlines()
    link = url.partition("?link=")[2]
    assert said.stderr == f"in a browser on this machine: https://localhost:8443/dashboard/login?link={link}\n"
