"""A second replica, as far as the database can tell; and work that hangs."""

from collections.abc import AsyncIterator, Iterator

import pytest

from app.db import engine, threads
from app.db.engine import Database, open_database
from tests.db.opening import SHORT, Hang


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[Database]:
    replica = open_database(database_url)
    yield replica
    await replica.close()


@pytest.fixture
def hang() -> Iterator[Hang]:
    """Something that hangs, and at the latest ends with the test."""
    hang = Hang()
    yield hang
    hang.end.set()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody wait for long."""
    monkeypatch.setattr(engine, "PATIENCE", SHORT)
    monkeypatch.setattr(threads, "GRACE", SHORT)
    monkeypatch.setattr(engine, "CLOSING", SHORT)
