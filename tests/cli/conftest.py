"""A folder of their own for commands, with the database of a day in it."""

from pathlib import Path

import pytest

from tests.cli.day import change
from tests.dashboard.rows import a_day
from tests.fakes import START


@pytest.fixture
def url(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", sqlite_url)
    monkeypatch.setenv("DEFAULT_LANGUAGE", "en")
    change(sqlite_url, lambda connection: a_day(connection, START, "two people"))
    return sqlite_url
