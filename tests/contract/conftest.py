"""A second replica: another process on the same database, as far as the database can tell."""

from collections.abc import AsyncIterator

import pytest

from app.db.engine import Database, open_database


@pytest.fixture
async def replica(database_url: str) -> AsyncIterator[Database]:
    replica = open_database(database_url)
    yield replica
    await replica.close()
