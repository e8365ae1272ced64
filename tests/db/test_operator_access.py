"""Sessions, links and lockouts, on both databases."""

from datetime import timedelta

import pytest

from app.db import operator_access as access
from app.db.engine import Connection, Database
from tests.fakes import START

pytestmark = pytest.mark.anyio
LATER = START + timedelta(hours=12)
A, B = "a" * 64, "b" * 64


def opened(connection: Connection, session: str, old: str | None = None, proof: str = "") -> None:
    access.open_session(connection, session, "Aizhan", proof, now=START, ends_at=LATER, old=old)


async def test_a_session_is_found_until_it_ends(database: Database) -> None:
    """Who opened a session is known until its end, and not after."""
    await database.write(opened, A)
    assert await database.read(access.find_session, A, ("",), LATER - timedelta(seconds=1)) == "Aizhan"
    assert await database.read(access.find_session, A, ("",), LATER) is None
    assert await database.read(access.find_session, B, ("",), START) is None


async def test_a_session_needs_its_proof(database: Database) -> None:
    """A session that another password opened is over."""
    await database.write(opened, A, proof="of-the-old-one")
    assert await database.read(access.find_session, A, ("", "of-the-new-one"), START) is None
    assert await database.read(access.open_sessions, ("", "of-the-new-one"), START) == []
    assert await database.read(access.open_sessions, ("of-the-old-one",), START) == [A]


async def test_opening_ends_what_the_browser_had(database: Database) -> None:
    """A new login replaces the session that the browser came with, and forgets what is over."""
    await database.write(opened, A)
    await database.write(opened, B, old=A)
    assert await database.read(access.open_sessions, ("",), START) == [B]


async def test_a_link_opens_once(database: Database) -> None:
    """A link is gone when it is spent; too late it opens nothing."""
    await database.write(access.add_link, A, "root", LATER)
    assert await database.write(access.spend_link, A, LATER) is None
    assert await database.write(access.spend_link, A, START) == "root"
    assert await database.write(access.spend_link, A, START) is None


async def test_each_failure_beyond_the_fifth_doubles_the_wait(database: Database) -> None:
    """Four failures cost nothing; from the fifth on an address waits one minute, two, four, up to fifteen."""
    waits: list[float | None] = []
    for _ in range(10):
        await database.write(access.add_failure, "203.0.113.9", START)
        until = await database.read(access.locked_until, "203.0.113.9", START)
        waits.append(None if until is None else (until - START).total_seconds() / 60)
    assert waits == [None] * 4 + [1, 2, 4, 8, 15, 15]
    assert await database.read(access.locked_until, "203.0.113.10", START) is None


async def test_failures_are_forgotten(database: Database) -> None:
    """After a login, or a quarter of an hour without a failure, an address begins anew."""
    for _ in range(4):
        await database.write(access.add_failure, "203.0.113.9", START)
    assert await database.write(access.add_failure, "203.0.113.9", START + timedelta(minutes=16)) == 1
    await database.write(access.forget_failures, "203.0.113.9")
    assert await database.write(access.add_failure, "203.0.113.9", START) == 1
