"""Totals that are kept while rows change: they are those of the rows, whatever happened to these."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update

from app.db import inbox, operator_queries, outbox, totals, views
from app.db.engine import Connection, Database, open_database
from app.db.inbox import Finished
from app.db.operator_queries import Queue
from app.db.owed import Owed
from app.db.tables import deliveries, jobs, notifications
from app.db.tables import totals as table
from app.domain.notification import Cause, Owner, OwnerMessage, Topic
from app.domain.verdict import Bury, Done, Retry
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=60)
MESSAGE = OwnerMessage("a1", "Айша", "r1", Topic.READY, Owner("o1", 42, "ru"))
HOMELESS = replace(MESSAGE, subject="a2", owner=Owner("o2", None, "ru"))


async def put(database: Database, *request_ids: str) -> None:
    await database.statement(inbox.put, [(delivery(request_id), START) for request_id in request_ids])


async def owe(database: Database, *messages: OwnerMessage) -> None:
    await database.write(outbox.owe, [Owed(message, 1, START, START) for message in messages], START)


async def amounts(database: Database) -> dict[str, int]:
    """Every total that is not 0."""
    return {name: amount for name, amount in (await database.read(totals.read)).items() if amount}


async def wrong(database: Database) -> dict[str, int]:
    found: dict[str, int] = {}
    for queue in totals.STATES:
        found |= await database.read(totals.differences, queue)
    return found


async def writers(database: Database) -> list[tuple[str, int]]:
    def read(connection: Connection) -> list[tuple[str, int]]:
        rows = connection.execute(select(table.c.name, table.c.writer).order_by(table.c.name, table.c.writer))
        return [(row.name, row.writer) for row in rows]

    return await database.read(read)


async def test_an_empty_database_has_every_total(database: Database) -> None:
    """Each state has its total, 0 before the first row."""
    found = await database.read(totals.read)
    assert set(found.values()) == {0}
    assert "deliveries.ignored" in found
    assert "notifications.unsent" in found


async def test_what_is_stored_is_pending(database: Database) -> None:
    """A group of new deliveries counts in its own commit."""
    await put(database, "r1", "r2", "r3")
    assert await amounts(database) == {"deliveries.pending": 3}


async def test_repeats_are_duplicates(database: Database) -> None:
    """Copies within a group and of what was stored before count, each once; a row stays one."""
    await put(database, "r1", "r2", "r1", "r1")
    await put(database, "r2", "r3")
    assert await amounts(database) == {"deliveries.pending": 3, "duplicates": 3}
    assert await wrong(database) == {}


async def test_an_end_moves_a_delivery(database: Database) -> None:
    """Done and buried leave pending; what is tried again stays in it."""
    await put(database, "r1", "r2", "r3")
    one, two, three = await database.write(inbox.claim, now=START, lease_until=START + LEASE, limit=10)
    ends = [Finished(one, Done("completed"), "r1"), Finished(two, Bury("conflict"), "r2")]
    await database.write(inbox.finish, [*ends, Finished(three, Retry(START, "orphan"), "r3")], START)
    assert await amounts(database) == {"deliveries.pending": 1, "deliveries.done": 1, "deliveries.dead": 1}


async def test_a_message_owed_twice_counts_once(database: Database) -> None:
    """What the table drops silently is not counted; without an address it is dead from the beginning."""
    await owe(database, MESSAGE, HOMELESS)
    await owe(database, MESSAGE, HOMELESS, replace(MESSAGE, request_id="r2"))
    assert await amounts(database) == {"notifications.pending": 2, "notifications.dead": 1}
    assert await wrong(database) == {}


async def test_an_overtaken_failure_is_ignored(database: Database) -> None:
    """A success closes the failure that waits beside it, in the count as well."""
    await owe(database, replace(MESSAGE, topic=Topic.FAILED, cause=Cause.UNKNOWN))
    await put(database, "r1")
    [cause] = await database.write(inbox.claim, now=START, lease_until=START + LEASE, limit=1)
    await database.write(outbox.put, [(replace(MESSAGE, overtakes=True), cause)], START)
    assert (await amounts(database))["notifications.ignored"] == 1
    assert await wrong(database) == {}


async def test_what_a_claim_closes_is_counted(database: Database) -> None:
    """A message over which too many processes died is dead when it is claimed."""
    await owe(database, MESSAGE)
    with database.engine.begin() as transaction:
        transaction.execute(update(notifications).values(reason="sending", uncertain=outbox.DIED_LIMIT))
    await database.write(outbox.claim, now=START, lease_until=START + LEASE, limit=10, rate=25)
    assert await amounts(database) == {"notifications.dead": 1}


async def test_the_operator_s_hand_is_counted(database: Database) -> None:
    """Ignored and redriven rows move, each from the state it had; what is left as it is does not."""
    await put(database, "r1", "r2")
    [one, two] = await database.write(inbox.claim, now=START, lease_until=START + LEASE, limit=10)
    await database.write(
        inbox.finish, [Finished(one, Done("completed"), "r1"), Finished(two, Bury("bug"), "r2")], START
    )
    ids = [one.claim.id, two.claim.id]
    for act, expected in (
        (operator_queries.ignore, {"deliveries.done": 1, "deliveries.ignored": 1}),
        (operator_queries.redrive, {"deliveries.done": 1, "deliveries.pending": 1}),
    ):
        assert await database.write(act, Queue.DELIVERIES, ids, note="by hand", now=START) == [two.claim.id]
        assert await amounts(database) == expected


async def test_what_is_undone_was_not_counted(database: Database) -> None:
    """A transaction that fails leaves neither rows nor totals."""

    def fail(connection: Connection) -> None:
        inbox.put(connection, [(delivery("r1"), START)])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await database.write(fail)
    assert await amounts(database) == {}


async def test_nobody_waits_for_another_s_commit(postgres_url: str) -> None:
    """While one session's transaction is open, another stores: their totals stand in rows of their own."""
    database = open_database(postgres_url)
    try:
        with database.engine.begin() as slow:
            inbox.put(slow, [(delivery("r1"), START)])
            await asyncio.wait_for(put(database, "r2"), 2)
        assert await amounts(database) == {"deliveries.pending": 2}
        assert len(await writers(database)) == 2
    finally:
        await database.close()


async def test_rows_of_many_writers_are_put_together(database: Database) -> None:
    """Folding leaves one row for each name, and no total changes."""
    with database.engine.begin() as transaction:
        for writer in range(5):
            transaction.execute(insert(table).values(name="deliveries.done", writer=writer, amount=writer))
    await put(database, "r1")
    before = await amounts(database)
    await database.write(totals.fold)
    assert {writer for _, writer in await writers(database)} == {0}
    assert await amounts(database) == before == {"deliveries.done": 10, "deliveries.pending": 1}


async def test_folding_waits_for_nobody(postgres_url: str) -> None:
    """What an open transaction holds is left for the next time, and nothing of it is lost."""
    database = open_database(postgres_url)
    try:
        with database.engine.begin() as slow:
            inbox.put(slow, [(delivery("r1"), START)])
        with database.engine.begin() as slow:
            totals.add(slow, {"deliveries.done": 1})
            slow.execute(text("UPDATE webhook_totals SET amount = amount + 1 WHERE name = 'deliveries.pending'"))
            assert await asyncio.wait_for(database.write(totals.fold), 2) == 0
        assert await amounts(database) == {"deliveries.pending": 2, "deliveries.done": 1}
    finally:
        await database.close()


async def test_what_nobody_counted_is_found(database: Database) -> None:
    """Rows that an older server stored beside us are short in the totals, and adding the difference mends them."""
    await put(database, "r1")
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(state="done", repeats=2))
    found = await wrong(database)
    assert found == {"deliveries.pending": -1, "deliveries.done": 1, "duplicates": 2}
    await database.write(totals.add, found)
    assert await wrong(database) == {}


async def test_a_total_is_never_shown_below_nothing(database: Database) -> None:
    """We applied what an older server stored: until the next count the total would be negative."""
    await database.write(totals.add, {"deliveries.pending": -3})
    assert await amounts(database) == {}


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([], None),
        ([("pending", 0, 5, 5)], 5),
        ([("done", 1, 1, 1), ("pending", 0, 5, 5), ("pending", 0, 7, 7)], 5),
        ([("pending", 2, 3, 90), ("pending", 0, 5, 5)], 3),
        ([("pending", 0, 5, 5), ("pending", 1, 2, 9)], 2),
        ([("pending", 1, 4, 2), ("pending", 1, 3, 60)], 3),
    ],
)
async def test_the_oldest_that_waits(
    database: Database, moments: list[tuple[str, int, int, int]], expected: int | None
) -> None:
    """Tried or not, due or not: the pending delivery that arrived first (state, attempt, arrived, due)."""
    with database.engine.begin() as transaction:
        for number, (state, attempt, arrived, due) in enumerate(moments):
            row = _row(str(number), state=state, attempt=attempt, received=arrived, due=due, latest=arrived)
            transaction.execute(insert(deliveries).values(row))
    oldest = (await database.read(views.totals, START))["oldest_pending"]
    assert oldest == (None if expected is None else START + timedelta(seconds=expected))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [([], None), ([(0, 1), (0, 2)], 2), ([(3, 9), (0, 2)], 9), ([(1, 1), (0, 2)], 2)],
)
async def test_the_last_delivery(database: Database, rows: list[tuple[int, int]], expected: int | None) -> None:
    """The newest row or a repeat of an older one, whichever came last (repeats, when it came last)."""
    with database.engine.begin() as transaction:
        for number, (repeats, latest) in enumerate(rows):
            row = _row(str(number), repeats=repeats, received=number, due=number, latest=latest)
            transaction.execute(insert(deliveries).values(row))
    last = (await database.read(views.totals, START))["last_delivery"]
    assert last == (None if expected is None else START + timedelta(seconds=expected))


def _row(name: str, *, received: int, due: int, latest: int, **more: Any) -> dict[str, Any]:
    moments = {"received_at": received, "stored_at": received, "due_at": due, "last_received_at": latest}
    row = {"state": "done", "request_id": name, "body_sha256": name, "headers": "{}", "source": "webhook", **more}
    return row | {column: START + timedelta(seconds=seconds) for column, seconds in moments.items()}


async def test_no_look_reads_what_has_ended(sqlite_url: str) -> None:
    """Every part of what the status page asks is found by an index that holds no finished row, or by few rows."""
    database = open_database(sqlite_url)
    asked: list[tuple[str, Any]] = []
    plans: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    try:
        with database.engine.connect() as connection:
            event.listen(connection, "before_cursor_execute", note)
            views.totals(connection, START)
            event.remove(connection, "before_cursor_execute", note)
            for statement, parameters in asked:
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans += [row.detail for row in rows]
    finally:
        await database.close()
    reads = [plan for plan in plans if plan.startswith(("SCAN", "SEARCH")) and "webhook_" in plan]
    assert len(reads) > 15
    by_request_id = "(request_id=?)"  # the delivery of one open job: a single row, whatever has ended
    free = ("USING INDEX webhook_", "USING COVERING INDEX webhook_", "webhook_totals", by_request_id)
    by_id = "SCAN webhook_deliveries"  # the newest row, from the end
    assert [plan for plan in reads if not any(one in plan for one in free)] == [by_id]


def test_the_names_fit_their_column() -> None:
    """No state has a name that a row of totals could not hold."""
    names = [totals.named(queue, state) for queue, states in totals.STATES.items() for state in states]
    assert max(map(len, names)) <= 32


async def test_jobs_are_counted_by_stage(database: Database) -> None:
    """Only open ones; what fal was not asked about yet is new."""
    with database.engine.begin() as transaction:
        for number, (state, stage) in enumerate(
            [
                ("pending", None),
                ("pending", "queued"),
                ("pending", "at_work"),
                ("pending", "at_work"),
                ("done", "queued"),
            ]
        ):
            transaction.execute(insert(jobs).values(job_row(str(number), state=state, stage=stage)))
    found = await database.read(views.totals, START)
    assert found["open_jobs"] == {"new": 1, "queued": 1, "at_work": 2, "finished": 0, "gone": 0}


def job_row(request_id: str, **more: Any) -> dict[str, Any]:
    row = {"state": "pending", "due_at": START, "request_id": request_id, "endpoint_source": "guessed"}
    return {**row, "first_seen_at": START, **more}
