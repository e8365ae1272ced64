"""Processes wake each other on PostgreSQL; SQLite has no others to wake."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest
from sqlalchemy import event, text

from app.db import inbox, outbox, wake
from app.db.engine import Database, open_database
from app.db.wake import WakeTopic, announce, listen
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.notification import Owner, OwnerMessage, Topic
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

WITHIN = 10  # s on a busy machine; a wake-up takes a millisecond
HANG_UP = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aisha-webhook listen'"


@dataclass
class Ears:
    """What was heard, in order."""

    heard: list[WakeTopic] = field(default_factory=list)
    _sound: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, topic: WakeTopic) -> None:
        self.heard.append(topic)
        self._sound.set()

    async def until(self, *topics: WakeTopic) -> None:
        """Wait until exactly these were heard, then forget them."""
        async with asyncio.timeout(WITHIN):
            while len(self.heard) < len(topics):
                self._sound.clear()
                await self._sound.wait()
        assert self.heard == list(topics)
        self.heard.clear()


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Ears]:
    ears = Ears()
    task = asyncio.create_task(listen(url, {topic: partial(ears.hear, topic) for topic in WakeTopic}))
    try:
        await ears.until(*WakeTopic)  # it listens now, and asks for a look at what was missed
        yield ears
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def ears(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ears]:
    monkeypatch.setattr(wake, "PAUSE", 0.01)
    async with listening(postgres_url) as ears:
        yield ears


@pytest.fixture
async def other(postgres_url: str) -> AsyncIterator[Database]:
    """The process that puts."""
    database = open_database(postgres_url)
    yield database
    await database.close()


async def put(database: Database, request_id: str, trouble: Exception | None = None) -> None:
    with database.engine.begin() as transaction:
        inbox.put(transaction, [(delivery(request_id), START)])
        if trouble is not None:
            raise trouble


async def owe(database: Database, request_id: str = "r1") -> None:
    item = OwnerMessage("a1", "Айша", request_id, Topic.READY, Owner("o1", 42, "ru"))
    with database.engine.begin() as transaction:
        outbox.put(transaction, [(item, ClaimedDelivery(Claim(1, 1), 0, request_id, b"", START, START))], START)


async def test_a_delivery_wakes_the_other_process(ears: Ears, other: Database) -> None:
    """Stored by one, applied at once by whichever is free."""
    await put(other, "r1")
    await ears.until(WakeTopic.INBOX)


async def test_an_owed_message_wakes_the_other_process(ears: Ears, other: Database) -> None:
    """Owed by one, sent at once by whichever is free."""
    await owe(other)
    await ears.until(WakeTopic.OUTBOX)


async def test_what_is_undone_wakes_nobody(ears: Ears, other: Database) -> None:
    """The announcement is part of the transaction."""
    with pytest.raises(ZeroDivisionError):
        await put(other, "r1", trouble=ZeroDivisionError())
    await owe(other)
    await ears.until(WakeTopic.OUTBOX)


async def test_a_repeat_wakes_nobody(ears: Ears, other: Database) -> None:
    """There is nothing new to do."""
    await put(other, "r1")
    await ears.until(WakeTopic.INBOX)
    await put(other, "r1")
    await owe(other)
    await ears.until(WakeTopic.OUTBOX)


async def test_a_lost_connection_is_made_anew(ears: Ears, other: Database) -> None:
    """After the server hung up the listener looks at what it missed and hears again (fault 8)."""
    with other.engine.begin() as transaction:
        transaction.execute(text(HANG_UP))
    await ears.until(*WakeTopic)
    await put(other, "r1")
    await ears.until(WakeTopic.INBOX)


async def test_what_others_say_on_the_channel_is_not_understood(ears: Ears, other: Database) -> None:
    """An unknown word neither wakes anybody nor ends the listening."""
    with other.engine.begin() as transaction:
        transaction.execute(text(f"NOTIFY {wake.CHANNEL}, 'hello'"))
    await put(other, "r1")
    await ears.until(WakeTopic.INBOX)


async def test_sqlite_has_nobody_to_wake(sqlite_url: str) -> None:
    """An announcement is no statement at all there."""
    database = open_database(sqlite_url)
    statements: list[str] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, *_: statements.append(statement),
    )
    with database.engine.begin() as transaction:
        statements.clear()
        announce(transaction, WakeTopic.INBOX)
    await database.close()
    assert statements == []
