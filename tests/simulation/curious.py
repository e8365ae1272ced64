"""What an operator looks at: lists and searches, one row of each kind, totals, and `why` of jobs in any state."""

import random
from typing import Any

from app.cli.why import lines
from app.db import operator_queries, views
from app.db.engine import Database
from app.db.operator_queries import Queue
from app.db.views import one
from app.db.views.pages import facets, page
from app.domain.errors import SearchRefused
from app.domain.search import Search, parse_search, spell_search, suggest
from app.domain.story_reasons import wait_for
from tests.simulation.server import Life
from tests.simulation.watchman import tell

WORDS = (
    "state:dead", "state:pending", "state:done", "reason:orphan", "after:2h", "before:10m state:done",
    'contains:"face"', "state:ded", "foo:bar", "sate:dead", "after:yesterday", "after:2026-11-23",
    "kind:training after:1d", "stage:at_work",
    "kind:ready", "state:sent", "owner:x", "chat:10001", "chat:-700", "before:2999-01-01 after:9999-12-31T00:00",
    "chat:x", "", "a b", "reason:bug before:2026-11-22T10:00", 'contains:"', 'contains:"a \\"b\\" c"', "state:",
    'state:""', "state:dead state:done", 'contains:"a\0b"', "x" * 2000, "after:2026-11-22T10:00+05:00", "state:qqqqqq",
)  # fmt: skip
BEGUN = (
    "",
    "st",
    "state:",
    'state:""',
    "state:d",
    "reason:",
    "reason:o",
    "after:",
    "foo:x",
    "owner:",
    "state:dead re",
    "zz",
)
SEEN = 4  # rows and jobs of one visit


async def look(world: Any, database: Database, life: Life, chance: random.Random) -> None:
    """Look for rows in words, at some of what is found, and at the numbers."""
    for queue in Queue:
        for words in chance.sample(WORDS, SEEN):
            search = _read(words, queue, life)
            if search is not None:
                found = await database.read(page, queue, search, limit=20)
                await database.read(facets, queue, search)
                for row in found.rows[:2]:
                    await database.read(_one, queue, row["id"])
                spell_search(search)
        suggest(chance.choice(BEGUN), queue.value)
        await _look_at_rows(world, database, queue, chance)
    await database.read(views.totals, life.now())
    for course in chance.sample(list(world.courses.values()), min(2, len(world.courses))):
        await database.read(operator_queries.find, chance.choice(list(Queue)), course.request_id)


async def _look_at_rows(world: Any, database: Database, queue: Queue, chance: random.Random) -> None:
    """Look at single rows of each state, as the dashboard's pages do."""
    rows = world.checker.rows(f"SELECT id, state, reason FROM webhook_{queue}")
    by_fate = {(row["state"], row["reason"]): row for row in rows}
    for row in chance.sample(list(by_fate.values()), min(SEEN, len(by_fate))):
        await database.read(_one, queue, row["id"])
        wait_for(queue.value, row["state"], row["reason"], None)


async def ask_why(world: Any, _database: Database, _life: Life, chance: random.Random) -> None:
    """Ask why jobs stand where they stand: of those in every state some, and of one that nobody knows."""
    rows = world.checker.rows(
        "SELECT request_id, state, reason, stage FROM webhook_jobs WHERE request_id IS NOT NULL "
        "UNION ALL SELECT request_id, state, reason, kind FROM webhook_notifications "
        "UNION ALL SELECT request_id, state, reason, source FROM webhook_deliveries "
        "UNION ALL SELECT fal_request_id, status, NULL, NULL FROM avatars WHERE fal_request_id IS NOT NULL"
    )
    by_fate = {tuple(row)[1:]: row["request_id"] for row in rows}
    asked = chance.sample(list(by_fate.values()), min(2 * SEEN, len(by_fate)))
    for request_id in dict.fromkeys((*asked, "nobody's")):
        list(lines(await tell(world, request_id), chance.choice(("en", "ru"))))


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
