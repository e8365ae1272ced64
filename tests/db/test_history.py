"""The history is written in the commit of what it tells about, and forgotten in time."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db import events, inbox, operator_queries, retention
from app.db.engine import Database
from app.db.operator_queries import Act, Queue
from app.db.tables import events as table
from app.domain.history import Event
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio


def lines(database: Database) -> list[tuple[object, ...]]:
    with database.engine.connect() as connection:
        found = select(table.c.kind, table.c.delivery_id, table.c.reason, table.c.who, table.c.why).order_by(table.c.id)
        return [tuple(row) for row in connection.execute(found)]


async def test_the_way_in_writes_no_line(database: Database) -> None:
    """ "Received" stands in the delivery's row: storing one costs nothing more than before."""
    with database.engine.begin() as transaction:
        inbox.put(transaction, [(delivery("r1"), START)])
    assert lines(database) == []


async def test_an_act_of_an_operator_is_kept_with_who_and_why(database: Database) -> None:
    """Each row that an act changed has its line, with what the row was dead by."""
    with database.engine.begin() as transaction:
        [receipt] = inbox.put(transaction, [(delivery("r1"), START)])
        act = Act("op", "not ours")
        operator_queries.ignore(transaction, Queue.DELIVERIES, [receipt.id, 99], note="n", now=START, act=act)
    assert lines(database) == [("ignored", receipt.id, None, "op", "not ours")]


async def test_old_lines_are_forgotten(database: Database) -> None:
    """Retention deletes the lines from before its time, and only those."""
    with database.engine.begin() as transaction:
        events.note(transaction, [Event(START + timedelta(days=day), "applied", day) for day in range(5)])
        assert retention.prune(transaction, START + timedelta(days=3), 2) == 2
        assert retention.prune(transaction, START + timedelta(days=3), 2) == 1
        assert retention.prune(transaction, START + timedelta(days=3), 2) == 0
    assert [line[1] for line in lines(database)] == [3, 4]
