"""What an operator does at a visit beside redriving and ignoring: rehearses, acts on many rows, asks fal by hand."""

import asyncio
import random
from contextlib import suppress
from typing import Any

from app import __version__
from app.bootstrap.asking import make_asking, make_fal_queue
from app.bootstrap.rehearsing import open_rehearse
from app.db import act_progress, rehearsing, schema
from app.db.engine import Database
from app.db.operator_queries import CHANGEABLE, Act, Queue
from app.domain.errors import RowsChanged, SearchTooWide
from app.domain.search import parse_search
from app.fal.client import make_client
from app.flows.act import BulkAct, require_unchanged
from app.flows.operate import Operation
from app.flows.rehearse import Rehearsal
from tests.simulation.checks import Violation
from tests.simulation.server import Life

MANY = {
    Queue.DELIVERIES: ("state:dead", "state:pending", "state:done", "after:6h"),
    Queue.NOTIFICATIONS: ("state:dead", "state:pending", "state:unsent", "state:sent", "after:6h"),
}
SOME = 150  # rows of one act, more than one commit takes


async def act_on_many(world: Any, database: Database, life: Life, chance: random.Random) -> None:
    """Rehearse an act on what a search finds, then do it."""
    queue, operation = (
        chance.choice(CHANGEABLE),
        chance.choice((Operation.REDRIVE, Operation.REDRIVE, Operation.IGNORE)),
    )
    search = parse_search(chance.choice(MANY[queue]), queue.value, life.now())
    try:
        rows = await database.read(rehearsing.meant, queue, search, is_redrive=operation is Operation.REDRIVE)
    except SearchTooWide:
        return
    rows = rows[-SOME:]
    bot_tables = await schema.find_bot_tables(database)
    rehearse = await open_rehearse(world.settings, database, bot_tables, life)
    shown = await rehearse(queue, operation, rows)
    if shown.told_twice:
        world.fail(Violation("I3", "", f"a rehearsal of {operation} says that {shown.told_twice} would hear twice"))
    if operation is Operation.IGNORE:
        for row in world.checker.rows(f"SELECT id, request_id FROM webhook_{queue}"):
            if row["id"] in {one.id for one in rows} and (course := world.courses.get(row["request_id"])):
                course.is_touched = True
    await asyncio.sleep(chance.choice((0, 0, 20, 90)))  # somebody else may act meanwhile
    if chance.random() < 0.5:
        rows = await database.read(rehearsing.meant, queue, search, is_redrive=operation is Operation.REDRIVE)
    await _act(database, life, shown, rows[-SOME:], chance)


async def _act(database: Database, life: Life, shown: Rehearsal, rows: list[Any], chance: random.Random) -> None:
    """Do what was rehearsed, if the rows still stand so; now and then it is stopped, or begun without a reason."""
    queue, operation = shown.queue, shown.operation
    name = f"act-{chance.getrandbits(40)}" if chance.random() < 0.7 else None
    why = chance.choice(("the simulation", "the simulation", " "))
    with suppress(ValueError, RowsChanged):
        await require_unchanged(database, queue, operation, rows, digest=shown.digest, code=__version__)
        bulk = BulkAct(database, life, queue, operation, rows, act=Act("operator", why, via="dashboard"), name=name)
        await bulk.note()
        match chance.choice(("", "", "", "stopped", "cancelled")):
            case "stopped" if name is not None:
                await database.write(act_progress.stop, name, "operator", life.now())
            case "cancelled":
                bulk.cancel()
        if rows:
            await bulk.run()


async def ask_by_hand(world: Any, database: Database, life: Life, chance: random.Random) -> None:
    """Ask fal about some jobs, due or not, as `aisha-webhook reconcile` does."""
    bot_tables = await schema.find_bot_tables(database)
    client = make_client()
    settings = world.settings
    if chance.random() < 0.2:  # a shell without the key
        settings = settings.model_copy(update={"fal_api_key": None})
    fal_queue = make_fal_queue(settings, client, life)
    asking = make_asking(
        settings, database, bot_tables, fal_queue, life, wake_reconcile=lambda: None, wake_apply=lambda: None
    )
    ids = [
        row["request_id"]
        for row in world.checker.rows("SELECT request_id FROM webhook_jobs WHERE request_id IS NOT NULL")
        if row["request_id"] in world.courses  # others nobody plays
    ]
    await asking.intake()
    if ids:
        await asking.reconcile.by_hand(chance.sample(ids, min(3, len(ids))))
    await client.aclose()
