"""Forgetting: bodies and names go, identities stay."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Table, insert, select, update

from app.db import inbox, outbox, pacing, retention
from app.db.engine import Database, open_database
from app.db.tables import deliveries, notifications, slots
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.images import OwedImages, spell_images
from app.domain.notification import Owner, OwnerMessage, Topic
from tests.factories import delivery, ok_body
from tests.fakes import START

pytestmark = pytest.mark.anyio

LONG_AGO = START - timedelta(days=40)
BEFORE = START - timedelta(days=30)
LATER = START + timedelta(days=365)
WITHIN = 30  # s on a busy machine


async def store(database: Database, **states: str) -> None:
    """Deliveries by request id, ended (or stored) long ago in these states."""
    with database.engine.begin() as transaction:
        for request_id, state in states.items():
            inbox.put(transaction, [(delivery(request_id, None, LONG_AGO), LONG_AGO)])
            ended = None if state == "pending" else LONG_AGO
            transaction.execute(
                update(deliveries)
                .where(deliveries.c.request_id == request_id)
                .values(state=state, finished_at=ended, headers='{"x": "y"}', detail="a note")
            )


async def owe(database: Database, **states: str) -> None:
    with database.engine.begin() as transaction:
        for request_id, state in states.items():
            item = OwnerMessage("a1", "Айша", request_id, Topic.READY, Owner("o1", 42, "ru"))
            source = ClaimedDelivery(Claim(1, 1), 0, request_id, b"", LONG_AGO, LONG_AGO)
            outbox.put(transaction, [(item, source)], LONG_AGO)
            ended = None if state == "pending" else LONG_AGO
            transaction.execute(
                update(notifications)
                .where(notifications.c.request_id == request_id)
                .values(state=state, finished_at=ended)
            )


async def prune(database: Database, limit: int = 100) -> int:
    return await database.write(retention.prune, BEFORE, limit)


async def rows(database: Database, table: Table) -> Sequence[Any]:
    with database.engine.connect() as connection:
        return (connection.execute(select(table).order_by(table.c.id))).all()


async def test_what_is_done_is_emptied(database: Database) -> None:
    """Body, headers and detail of a finished delivery go after the time; the row stays."""
    await store(database, r1="done", r2="ignored")
    assert await prune(database) == 2
    found = await rows(database, deliveries)
    assert [(row.request_id, row.body, row.headers, row.detail) for row in found] == [
        ("r1", None, "{}", None),
        ("r2", None, "{}", None),
    ]


async def test_a_late_repeat_of_what_was_forgotten_is_a_repeat(database: Database) -> None:
    """The identity outlives the body: fal's repeat a year later is counted and changes nothing."""
    await store(database, r1="done")
    await prune(database)
    with database.engine.begin() as transaction:
        [receipt] = inbox.put(transaction, [(delivery("r1", None, LATER), LATER)])
        assert inbox.claim(transaction, now=LATER, lease_until=LATER, limit=9) == []
    [row] = await rows(database, deliveries)
    assert (receipt.new, row.state, row.repeats, row.body) == (False, "done", 1, None)


async def test_the_dead_and_the_pending_keep_their_bodies(database: Database) -> None:
    """What an operator or the worker still needs is never forgotten, however old."""
    await store(database, r1="dead", r2="pending")
    assert await prune(database) == 0
    assert [row.body for row in await rows(database, deliveries)] == [ok_body("r1"), ok_body("r2")]


async def test_what_ended_lately_is_kept(database: Database) -> None:
    """The time counts from the end, not from the arrival."""
    await store(database, r1="done")
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(finished_at=BEFORE))
    assert await prune(database) == 0


async def test_a_batch_is_small(database: Database) -> None:
    """No more rows than asked for are emptied at a time, and none twice."""
    await store(database, **{f"r{number}": "done" for number in range(5)})
    assert [await prune(database, limit=2) for _ in range(4)] == [2, 2, 1, 0]


async def test_names_of_the_told_are_forgotten(database: Database) -> None:
    """Sent, unsent and ignored messages lose the name; dead and pending ones keep what a redrive needs."""
    await owe(database, r1="sent", r2="unsent", r3="ignored", r4="dead", r5="pending")
    assert await prune(database) == 3
    assert [row.avatar_name for row in await rows(database, notifications)] == ["", "", "", "Айша", "Айша"]


async def test_images_of_the_told_are_forgotten(database: Database) -> None:
    """The addresses of a person's images go with their name, and where there is no name; those still owed stay."""
    images = OwedImages(("https://v3.fal.media/a.jpg",))
    await owe(database, told="sent", waits="pending")
    with database.engine.begin() as transaction:
        transaction.execute(update(notifications).values(images=spell_images(images), avatar_name=""))
    assert await prune(database) == 1
    kept = {row.request_id: row.images for row in await rows(database, notifications)}
    assert kept == {"told": None, "waits": spell_images(images)}
    assert await prune(database) == 0


async def test_a_forgotten_message_is_not_owed_again(database: Database) -> None:
    """One message per (avatar, request id, kind) for ever, whatever was forgotten of it."""
    await owe(database, r1="sent")
    await prune(database)
    with database.engine.begin() as transaction:
        item = OwnerMessage("a1", "Айша", "r1", Topic.READY, Owner("o1", 42, "ru"))
        source = ClaimedDelivery(Claim(1, 1), 0, "r1", b"", START, START)
        outbox.put(transaction, [(item, source)], START)
    assert [row.state for row in await rows(database, notifications)] == ["sent"]


async def test_old_buckets_go_and_pauses_in_force_stay(database: Database) -> None:
    """A chat that was told something long ago needs no row; one that must rest does."""
    with database.engine.begin() as transaction:
        transaction.execute(insert(slots).values(bucket="chat:1", next_at=LONG_AGO))
        pacing.pause(transaction, 2, START + timedelta(seconds=30))
    await prune(database)
    with database.engine.connect() as connection:
        assert list((connection.execute(select(slots.c.bucket))).scalars()) == ["chat:2"]


@pytest.mark.parametrize("queue", ["deliveries", "notifications"])
async def test_what_is_redriven_at_that_moment_is_not_emptied(postgres_url: str, queue: str) -> None:
    """A redrive that commits while retention waits for the row wins: a pending row keeps what it needs."""
    mine, theirs = open_database(postgres_url), open_database(postgres_url)
    table = {"deliveries": deliveries, "notifications": notifications}[queue]
    try:
        await (store if queue == "deliveries" else owe)(mine, r1="ignored")
        with theirs.engine.begin() as operator:
            operator.execute(update(table).values(state="pending", finished_at=None))
            pruning = asyncio.create_task(prune(mine))
            async with asyncio.timeout(WITHIN):
                while not await waits_for_a_lock(postgres_url):  # noqa: ASYNC110  PostgreSQL tells nobody
                    await asyncio.sleep(0.01)
        assert await pruning == 0
        [row] = await rows(mine, table)
        assert row.state == "pending"
        assert row.body == ok_body("r1") if queue == "deliveries" else row.avatar_name == "Айша"
    finally:
        await mine.close()
        await theirs.close()


async def waits_for_a_lock(url: str) -> bool:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as watcher:
        found = await watcher.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
        return await found.fetchone() is not None
