"""What an operator does at a visit beside redriving and ignoring: looks, rehearses, acts on many, asks fal by hand."""

import random
from typing import Any

from app.bootstrap.asking import make_asking, make_fal_queue
from app.bootstrap.rehearsing import open_rehearse
from app.db import operator_queries, rehearsing, schema, views
from app.db.engine import Database
from app.db.operator_queries import CHANGEABLE, Act, Queue
from app.db.views import one
from app.db.views.pages import facets, page
from app.domain.errors import SearchRefused, SearchTooWide
from app.domain.search import Search, parse_search, spell_search, suggest
from app.fal.client import make_client
from app.flows.act import BulkAct
from app.flows.operate import Operation
from tests.simulation.checks import Violation
from tests.simulation.server import Life

WORDS = (
    "state:dead", "state:pending", "reason:orphan", "after:2h", "before:10m state:done", 'contains:"face"',
    "state:ded", "foo:bar", "after:yesterday", "after:2026-11-23", "kind:training after:1d", "stage:at_work",
    "kind:ready", "state:sent", "owner:x", "chat:10001",
    "chat:x", "", "a b", "reason:bug before:2026-11-22T10:00", 'contains:"',
)  # fmt: skip


async def look(world: Any, database: Database, life: Life, chance: random.Random) -> None:
    """Look for rows in words, and at one of each kind."""
    queue = chance.choice(list(Queue))
    for words in chance.sample(WORDS, 5):
        search = _read(words, queue, life)
        if search is not None:
            found = await database.read(page, queue, search, limit=20)
            await database.read(facets, queue, search)
            for row in found.rows[:2]:
                await database.read(_one, queue, row["id"])
            spell_search(search)
    await database.read(views.totals, life.now())
    for course in chance.sample(list(world.courses.values()), min(2, len(world.courses))):
        await database.read(operator_queries.find, queue, course.request_id)


def _one(connection: Any, queue: Queue, row_id: int) -> None:
    match queue:
        case Queue.DELIVERIES:
            one.one_delivery(connection, row_id)
        case Queue.JOBS:
            one.one_job(connection, row_id)
        case Queue.NOTIFICATIONS:
            one.one_message(connection, row_id)


def _read(words: str, queue: Queue, life: Life) -> Search | None:
    try:
        return parse_search(words, queue.value, life.now())
    except SearchRefused:
        suggest(words, queue.value)
        return None


async def act_on_many(world: Any, database: Database, life: Life, chance: random.Random) -> None:
    """Rehearse an act on what a search finds, then do it."""
    queue, operation = (
        chance.choice(CHANGEABLE),
        chance.choice((Operation.REDRIVE, Operation.REDRIVE, Operation.IGNORE)),
    )
    search = parse_search(chance.choice(("state:dead", "state:pending", "after:6h")), queue.value, life.now())
    try:
        rows = await database.read(rehearsing.meant, queue, search, is_redrive=operation is Operation.REDRIVE)
    except SearchTooWide:
        return
    rows = rows[:30]
    bot_tables = await schema.find_bot_tables(database)
    rehearse = await open_rehearse(world.settings, database, bot_tables, life)
    shown = await rehearse(queue, operation, rows)
    if shown.told_twice:
        world.fail(Violation("I3", "", f"a rehearsal of {operation} says that {shown.told_twice} would hear twice"))
    if operation is Operation.IGNORE:
        for row in world.checker.rows(f"SELECT id, request_id FROM webhook_{queue}"):
            if row["id"] in {one.id for one in rows} and (course := world.courses.get(row["request_id"])):
                course.is_touched = True
    bulk = BulkAct(database, life, queue, operation, rows, act=Act("operator", "the simulation"))
    if rows:
        await bulk.run()


async def ask_by_hand(world: Any, database: Database, life: Life, chance: random.Random) -> None:
    """Ask fal about some jobs, due or not, as `aisha-webhook reconcile` does."""
    bot_tables = await schema.find_bot_tables(database)
    client = make_client()
    fal_queue = make_fal_queue(world.settings, client, life)
    asking = make_asking(
        world.settings, database, bot_tables, fal_queue, life, wake_reconcile=lambda: None, wake_apply=lambda: None
    )
    ids = [
        row["request_id"]
        for row in world.checker.rows("SELECT request_id FROM webhook_jobs WHERE request_id IS NOT NULL")
    ]
    await asking.intake()
    if ids:
        await asking.reconcile.by_hand(chance.sample(ids, min(3, len(ids))))
    await client.aclose()
