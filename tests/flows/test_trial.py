"""A delivery of the kind `test` takes the whole way and leaves nothing behind that counts, on both databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import pytest
from sqlalchemy import func, select

from app.db import alerts, inbox, operator_queries, totals, views
from app.db.engine import Database
from app.db.operator_queries import Queue
from app.db.tables import deliveries, jobs
from app.db.trainings import BotTables
from app.domain.delivery import Delivery
from app.domain.job import JobKind
from app.domain.notification import OPERATOR, Topic
from app.fal.authenticate import Authenticator
from app.flows.trial import operator_as_owner, trial
from tests.fakes import FrozenClock
from tests.flows.conftest import House, kinds_of, open_house

pytestmark = pytest.mark.anyio
CHAT = 7_000_001
REQUEST_ID = "test-0123456789abcdef01234567"
BODY = b'{"request_id":"%b","status":"OK","payload":{}}' % REQUEST_ID.encode()


@asynccontextmanager
async def open_trials(
    database: Database, bot_tables: BotTables, clock: FrozenClock, chat: int | None
) -> AsyncIterator[House]:
    kinds = (*kinds_of(bot_tables), trial(cast("Authenticator", None), operator_as_owner(chat, "ru")))
    async with open_house(database, bot_tables, clock, kinds) as house:
        yield house


@pytest.fixture
async def trials(database: Database, bot_tables: BotTables, clock: FrozenClock) -> AsyncIterator[House]:
    async with open_trials(database, bot_tables, clock, CHAT) as house:
        yield house


async def send(house: House) -> None:
    delivery = Delivery(REQUEST_ID, BODY, "0" * 64, {}, house.clock.at, kind=JobKind.TEST)
    with house.database.engine.begin() as transaction:
        inbox.put(transaction, [(delivery, house.clock.at)])


async def counted(house: House) -> dict[str, int]:
    kept = await house.database.read(totals.read)
    return {name: amount for name, amount in kept.items() if amount}


async def test_a_test_is_applied_and_told_to_the_operator(trials: House) -> None:
    """It is done at the first try, with one message to the operator's chat and no job of fal's."""
    await send(trials)
    assert await trials.apply() == 1
    assert [(row["state"], row["reason"]) for row in await trials.rows()] == [("done", "tried")]
    await trials.tell()
    [message] = await trials.messages()
    told = {name: message[name] for name in ("kind", "owner_id", "chat_id", "state", "request_id")}
    assert told == {
        "kind": Topic.TEST,
        "owner_id": OPERATOR,
        "chat_id": CHAT,
        "state": "sent",
        "request_id": REQUEST_ID,
    }
    with trials.database.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(jobs)).scalar_one() == 0
    assert not trials.fal.asked


async def test_without_a_chat_nobody_is_told(database: Database, bot_tables: BotTables, clock: FrozenClock) -> None:
    """A newcomer has no chat yet: the test is done all the same, and no message is owed."""
    async with open_trials(database, bot_tables, clock, None) as house:
        await send(house)
        await house.apply()
        assert [row["state"] for row in await house.rows()] == ["done"]
        assert await house.messages() == []


async def test_tests_are_in_no_total(trials: House) -> None:
    """Whatever becomes of it, kept totals stay as they are, and the recount finds nothing to put right."""
    await send(trials)
    await send(trials)  # a repeat
    assert await counted(trials) == {}
    await trials.apply()
    await trials.tell()
    [row] = await trials.rows()
    for change in (operator_queries.redrive, operator_queries.ignore):
        await trials.database.write(
            partial(change, queue=Queue.DELIVERIES, ids=[row["id"]], note="", now=trials.clock.at)
        )
    assert await counted(trials) == {}
    for queue in totals.STATES:
        assert await trials.database.read(totals.differences, queue) == {}
    page = await trials.database.read(views.totals, trials.clock.at)
    assert (page["last_delivery"], page["oldest_pending"], page["duplicates"]) == (None, None, 0)


@pytest.mark.parametrize("values", [{"state": "dead", "reason": "bug"}, {"state": "pending"}])
async def test_tests_raise_no_alert(trials: House, values: dict[str, Any]) -> None:
    """Neither a buried test nor one that waits for hours is counted where alerts look."""
    await send(trials)
    with trials.database.engine.begin() as transaction:
        transaction.execute(deliveries.update().values(values))
    facts = await trials.database.read(alerts.count_queues, trials.clock.at)
    assert (facts.buried_deliveries, facts.oldest_due) == ({}, None)


async def test_a_training_beside_a_test_is_counted(trials: House) -> None:
    """Only the test is left out when both are stored in one group."""
    with trials.database.engine.begin() as transaction:
        group = [
            (Delivery(name, BODY, "0" * 64, {}, trials.clock.at, kind=kind), trials.clock.at)
            for name, kind in (("r-1", JobKind.TRAINING), ("r-1", JobKind.TRAINING), (REQUEST_ID, JobKind.TEST))
        ]
        inbox.put(transaction, group)
    assert await counted(trials) == {"deliveries.pending": 1, "duplicates": 1}
