"""What is on record of artifacts, in `webhook_jobs`, on both databases."""

from datetime import datetime, timedelta

import pytest

from app.db import artifacts
from app.db.engine import Database
from app.domain.artifact import ArtifactState
from tests.factories import LORA
from tests.fakes import START
from tests.job_rows import put, states

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)


async def found(database: Database, since: datetime = START - DAY, after: int = 0, limit: int = 20) -> list[str]:
    rows = await database.read(artifacts.unverified, since=since, after=after, limit=limit)
    return [row.request_id for row in rows]


async def test_only_what_nobody_has_seen_is_listed(database: Database) -> None:
    """Seen, absent, never looked at, unfinished, without a URL or older than a day: none of them."""
    put(database, "r1")
    put(database, "seen", "seen")
    put(database, "absent", "absent")
    put(database, "off", None)
    put(database, "open", state="pending", finished_at=None)
    put(database, "style", lora_url=None)
    put(database, "old", finished_at=START - DAY - timedelta(seconds=1))
    [row] = await database.read(artifacts.unverified, since=START - DAY, after=0, limit=20)
    assert (row.request_id, row.subject, row.url, row.finished_at) == ("r1", "avatar-of-r1", LORA, START)


async def test_they_are_listed_in_portions(database: Database) -> None:
    """By id, those after a given one, so many at a time."""
    ids = [put(database, f"r{number}") for number in range(4)]
    assert await found(database, limit=2) == ["r0", "r1"]
    assert await found(database, after=ids[1]) == ["r2", "r3"]


async def test_what_is_known_by_now_is_noted(database: Database) -> None:
    """Each gets its own state; what somebody else noted meanwhile stays."""
    one, two, three = put(database, "r1"), put(database, "r2"), put(database, "r3", "seen")
    known = [(one, ArtifactState.SEEN), (two, ArtifactState.ABSENT), (three, ArtifactState.ABSENT)]
    assert await database.write(artifacts.note, known) == 2
    assert await database.write(artifacts.note, []) == 0
    assert states(database) == {"r1": "seen", "r2": "absent", "r3": "seen"}
