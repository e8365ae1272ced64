"""A rehearsal changes nothing, and says what the act then does."""

from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.db import rehearsing
from app.db.engine import Database
from app.db.operator_queries import Act, Queue
from app.db.rehearsing import RowStand
from app.db.tables import deliveries, events, notifications
from app.db.trainings import BotTables
from app.domain.errors import RowsChanged
from app.domain.search import EVERYTHING, Search
from app.flows.act import BulkAct, require_unchanged
from app.flows.operate import Operation
from app.flows.rehearse import MOST, Rehearse, together
from tests.factories import INVENTED, LORA, Bot, error_body, ok_body
from tests.fakes import FrozenClock
from tests.flows.conftest import House, kinds_of
from tests.flows.rehearsals import all_rows, make_history

pytestmark = pytest.mark.anyio
AT_ONCE = 20
HISTORIES = [("sqlite", start) for start in range(0, 160, AT_ONCE)] + [("postgresql", 160), ("postgresql", 180)]
BY = Act("op", "after the outage")


@pytest.fixture
def rehearse(database: Database, bot_tables: BotTables, house: House) -> Rehearse:
    return Rehearse(
        database,
        bot_tables,
        kinds_of(bot_tables),
        house.apply._planner._limits,
        house.clock,
        word=house.messenger.word,
        code="1",
        invented=INVENTED,
    )


async def find(database: Database, search: Search = EVERYTHING, queue: Queue = Queue.DELIVERIES) -> list[RowStand]:
    return await database.read(rehearsing.meant, queue, search, is_redrive=True)


def act(house: House, rows: list[RowStand], operation: Operation = Operation.REDRIVE) -> BulkAct:
    return BulkAct(house.database, house.clock, Queue.DELIVERIES, operation, rows, act=BY, invented=INVENTED)


@pytest.mark.parametrize(("database_url", "start"), HISTORIES, indirect=["database_url"])
async def test_the_act_does_what_its_rehearsal_said(
    start: int, house: House, bot: Bot, database: Database, rehearse: Rehearse
) -> None:
    """In 200 random histories a rehearsal leaves every row as it is, and foretells states, avatars and messages."""
    outcomes: set[str] = set()
    for seed in range(start, start + AT_ONCE):
        random = Random(seed)
        await make_history(house, bot, random, f"h{seed}")
        ids = [row["id"] for row in await house.rows() if row["request_id"].startswith(f"h{seed}-")]
        meant = [row for row in await database.write(rehearsing.stands, Queue.DELIVERIES, ids) if row.state != "done"]
        before = all_rows(database)
        said = await rehearse(Queue.DELIVERIES, Operation.REDRIVE, meant)
        assert all_rows(database) == before, f"seed {seed}"
        assert not said.is_sample
        assert said.told_twice == 0
        messages = {row["id"] for row in await house.messages()}

        await act(house, meant).run()
        while await house.apply():
            pass

        rows = {row["id"]: row for row in await house.rows()}
        told = [row for row in await house.messages() if row["id"] not in messages]
        foretold = sorted((one.topic, one.chat_id, one.language) for row in said.rows for one in row.messages)
        assert sorted((row["kind"], row["chat_id"], row["language"]) for row in told) == foretold, f"seed {seed}"
        for row in said.rows:
            outcomes.add(row.code)
            now = rows[row.id]
            if row.asks != "result":
                assert (now["state"], now["reason"]) == (row.state[1], row.reason[1]), f"seed {seed}, row {row}"
        last = {str(row.avatar_id): row.changes["status"][1] for row in said.rows if "status" in row.changes}
        assert {avatar: (await bot.avatar(avatar))["word"] for avatar in last} == last, f"seed {seed}"
    assert {"becomes", "stays"} <= outcomes


async def test_a_rehearsal_words_the_message_in_its_language(
    house: House, bot: Bot, rehearse: Rehearse, database: Database
) -> None:
    """The operator reads what the owner would read, and which fields of the avatar would change."""
    await house.deliver("r1")
    house.clock.move(25 * 3600)
    await house.apply()
    await bot.train("r1", language="en", telegram_id="77")
    said = await rehearse(Queue.DELIVERIES, Operation.REDRIVE, await find(database))
    [row] = said.rows
    [message] = row.messages
    assert (row.code, row.word, said.told) == ("becomes", "completed", 1)
    assert row.changes["status"] == ("training", "completed")
    assert (message.topic, message.chat_id, message.language) == ("ready", 77, "en")
    assert message.text


async def test_what_fal_must_be_asked_is_said_and_not_asked(
    house: House, bot: Bot, rehearse: Rehearse, database: Database
) -> None:
    """A delivery without its result would make us ask fal: the rehearsal says so, and asks nobody."""
    from tests.factories import empty_ok_body  # noqa: PLC0415

    await house.deliver("r1", empty_ok_body("r1"))
    house.clock.move(25 * 3600)
    await house.apply()
    await bot.train("r1")
    said = await rehearse(Queue.DELIVERIES, Operation.REDRIVE, await find(database))
    assert [(row.code, row.asks) for row in said.rows] == [("asks_fal", "result")]
    assert house.fal.asked == []


async def test_more_rows_than_can_be_played_are_a_sample(house: House, rehearse: Rehearse, database: Database) -> None:
    """At most 50 rows are played; the rest makes it a sample, and the digest names all."""
    for number in range(MOST + 5):
        await house.deliver(f"r{number}")
    rows = await find(database)
    said = await rehearse(Queue.DELIVERIES, Operation.REDRIVE, rows)
    assert (said.matched, len(said.rows), said.is_sample) == (MOST + 5, MOST, True)
    assert said.digest != (await rehearse(Queue.DELIVERIES, Operation.REDRIVE, rows[:MOST])).digest


async def test_a_rehearsal_lets_others_write_in_between(
    house: House, rehearse: Rehearse, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of one request are played together, others ten at a time: SQLite's one writer is free in between."""
    for number in range(25):
        await house.deliver(f"r{number}")
    for number in range(3):
        await house.deliver("r0", ok_body("r0", lora=f"{LORA}{number}"))
    names = {row["id"]: row["request_id"] for row in await house.rows()}
    played: list[list[int]] = []
    write = database.write

    async def noted(work: Any, *wanted: Any) -> Any:
        if work.__name__ == "_play":
            played.append(list(wanted[2]))
        return await write(work, *wanted)

    monkeypatch.setattr(database, "write", noted)
    said = await rehearse(Queue.DELIVERIES, Operation.REDRIVE, await find(database))
    assert [row.id for row in said.rows] == sorted(names)
    assert sorted(one for part in played for one in part) == sorted(names)
    assert [len(part) for part in played] == [10, 10, 8]
    assert {len({names[row_id] for row_id in part} & {"r0"}) for part in played} == {0, 1}
    assert sum("r0" in {names[row_id] for row_id in part} for part in played) == 1


@given(
    names=st.dictionaries(st.integers(1, 60), st.sets(st.integers(0, 20), max_size=3), max_size=40),
    most=st.integers(1, 8),
)
def test_what_shares_a_name_is_in_one_part(names: dict[int, set[int]], most: int) -> None:
    """Parts hold each id once, keep names together, and are no larger than that makes them."""
    spelled = {row_id: {str(name) for name in own} for row_id, own in names.items()}
    parts = list(together(spelled, most))
    assert sorted(one for part in parts for one in part) == sorted(spelled)
    named = [{name for row_id in part for name in spelled[row_id]} for part in parts]
    assert all(not one & other for one, other in combinations(named, 2))
    assert all(len(part) >= most for part in parts[:-1])


async def test_a_slow_rehearsal_ends_as_a_sample(
    house: House, rehearse: Rehearse, database: Database, clock: FrozenClock
) -> None:
    """After a second no further rows are played."""
    for number in range(30):
        await house.deliver(f"r{number}")
    rehearse.elapsed = iter(range(0, 100, 2)).__next__
    said = await rehearse(Queue.DELIVERIES, Operation.REDRIVE, await find(database))
    assert (len(said.rows), said.is_sample) == (10, True)


async def test_an_act_refuses_when_things_have_changed(
    house: House, bot: Bot, rehearse: Rehearse, database: Database
) -> None:
    """A row that moved since the rehearsal, one more, another act or newer code: look again."""
    await house.deliver("r1")
    rows = await find(database)
    said = await rehearse(Queue.DELIVERIES, Operation.REDRIVE, rows)

    async def check(rows: list[RowStand], operation: Operation = Operation.REDRIVE, code: str = "1") -> None:
        await require_unchanged(database, Queue.DELIVERIES, operation, rows, digest=said.digest, code=code)

    await check(rows)
    with pytest.raises(RowsChanged):
        await check(rows, Operation.IGNORE)
    with pytest.raises(RowsChanged):
        await check(rows, code="2")
    await bot.train("r1")
    await house.apply()
    with pytest.raises(RowsChanged):
        await check(rows)


async def test_rows_that_others_changed_meanwhile_are_left(house: House, bot: Bot, database: Database) -> None:
    """Between the rehearsal and its batch a row was applied: the act leaves it alone."""
    await house.deliver("r1")
    await house.deliver("r2")
    rows = await find(database)
    await bot.train("r1")
    await house.apply()
    changed = await act(house, rows, operation=Operation.IGNORE).run()
    states = {row["request_id"]: row["state"] for row in await house.rows()}
    assert (states["r1"], len(changed)) == ("done", 0)


async def test_an_act_is_cancelled_between_two_batches(house: House, database: Database) -> None:
    """What is done stays done, the rest stays as it was; the history says who, and why."""
    for number in range(230):
        await house.deliver(f"r{number}")
    rows = await find(database)
    bulk = act(house, rows, operation=Operation.IGNORE)
    await bulk.run(bulk.cancel)
    assert (bulk.done, len(bulk.changed)) == (100, 100)
    with database.engine.connect() as connection:
        lines = connection.execute(select(events.c.kind, events.c.who, events.c.why)).all()
        ignored = connection.execute(select(deliveries.c.id).where(deliveries.c.state == "ignored")).all()
    assert (set(map(tuple, lines)), len(lines), len(ignored)) == ({("ignored", "op", "after the outage")}, 100, 100)
    assert await act(house, rows, operation=Operation.IGNORE).run() == [row.id for row in rows[100:]]


async def test_an_act_wants_a_reason(house: House) -> None:
    """Nobody changes a whole search without saying why."""
    with pytest.raises(ValueError, match="reason"):
        BulkAct(house.database, house.clock, Queue.DELIVERIES, Operation.IGNORE, [], act=Act("op", " "))


async def test_a_search_never_sends_what_may_have_arrived(house: House, bot: Bot, database: Database) -> None:
    """A message whose send has an unknown outcome is redriven by its own id only."""
    for name in ("r1", "r2"):
        await bot.train(name)
        await house.deliver(name, error_body(name))
    await house.apply()
    with database.engine.begin() as transaction:
        first = select(notifications.c.id).order_by(notifications.c.id).limit(1).scalar_subquery()
        transaction.execute(notifications.update().where(notifications.c.id == first).values(uncertain=1, state="dead"))
    rows = await find(database, queue=Queue.NOTIFICATIONS)
    assert len(rows) == 1


async def test_the_rehearsal_of_messages_says_which_go_out(
    house: House, bot: Bot, rehearse: Rehearse, database: Database
) -> None:
    """A failure that a success has overtaken would be closed; the rest would be sent, in these words."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1"))
    await house.apply()
    await house.deliver("r1", ok_body("r1"))
    await house.apply()
    rows = await database.write(rehearsing.stands, Queue.NOTIFICATIONS, [1, 2])
    before = all_rows(database)
    said = await rehearse(Queue.NOTIFICATIONS, Operation.REDRIVE, rows)
    assert all_rows(database) == before
    assert {row.code for row in said.rows} <= {"goes_out", "left", "stays"}
    assert said.told == sum(row.code == "goes_out" for row in said.rows) == 1
