"""The bot's trainings become jobs by our clock."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select, text

from app.db import poller_traces
from app.db.engine import Connection, Database, open_database
from app.db.schema import find_bot_tables
from app.db.tables import jobs, notifications
from app.db.trainings import BotTables
from app.domain.errors import DatabaseUnavailable
from app.domain.look import GRACE
from app.domain.trainer import Trainer
from app.flows.drift import Mend
from app.flows.intake import BATCH, LEASE, OUTAGE, Intake
from tests.factories import INVENTED, INVENTED_LORA, LORA, Bot
from tests.fakes import START, FrozenClock, kinds
from tests.flows.asking import COMPLETED, DONE, ScriptedFal, reconcile_of
from tests.flows.conftest import House
from tests.flows.test_watch import Machine

pytestmark = pytest.mark.anyio

AFTER = timedelta(seconds=120)
EVERY = timedelta(seconds=10)


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def intake(database: Database, bot_tables: BotTables, clock: FrozenClock, woken: list[str]) -> Intake:
    return intake_of(database, bot_tables, clock, woken)


def intake_of(database: Database, bot_tables: BotTables, clock: FrozenClock, woken: list[str]) -> Intake:
    def endpoint_of(trainer: Trainer | None) -> str:
        return f"fal-ai/{trainer}-trainer"

    return Intake(
        database,
        bot_tables,
        clock,
        endpoint_of=endpoint_of,
        after=AFTER,
        every=EVERY,
        wake=lambda: woken.append("reconcile"),
        invented=INVENTED,
    )


async def met(database: Database) -> dict[str, tuple[object, ...]]:
    def read(connection: Connection) -> dict[str, tuple[object, ...]]:
        columns = (jobs.c.request_id, jobs.c.state, jobs.c.endpoint, jobs.c.first_seen_at, jobs.c.due_at)
        return {row[0]: tuple(row[1:]) for row in connection.execute(select(*columns))}

    return await database.read(read)


async def age(database: Database, request_id: str, days: float) -> None:
    """Let the row's last change lie so many days before the frozen clock."""
    at = START - timedelta(days=days)

    def write(connection: Connection) -> None:
        given = {"at": at.replace(tzinfo=None).isoformat(" ", "microseconds") if database.is_sqlite else at}
        connection.execute(
            text("UPDATE avatars SET updated_at = :at WHERE fal_request_id = :id"), {**given, "id": request_id}
        )

    await database.write(write)


async def test_a_training_is_met_and_first_asked_about_after_a_while(
    intake: Intake, bot: Bot, database: Database, clock: FrozenClock
) -> None:
    """Its job is seen first now and due RECONCILE_AFTER later, at the endpoint of its type."""
    await bot.train("r1")
    await bot.train("r2", trainer="style", status="TRAINING")
    assert await intake() == 2
    assert await met(database) == {
        "r1": ("pending", "fal-ai/portrait-trainer", clock.at, clock.at + AFTER),
        "r2": ("pending", "fal-ai/style-trainer", clock.at, clock.at + AFTER),
    }


async def test_only_what_is_under_way_is_met(intake: Intake, bot: Bot) -> None:
    """A row in another status waits for nothing from fal."""
    for status in ("draft", "photos_uploading", "ready_for_training", "completed", "error", "cancelled"):
        await bot.train(f"r-{status}", status=status)
    assert await intake() == 0


async def test_a_row_without_a_request_id_is_not_met(intake: Intake, bot: Bot) -> None:
    """There is nothing to ask fal for."""
    await bot.train("")
    assert await intake() == 0


async def test_old_rows_of_the_first_start_are_historic(intake: Intake, bot: Bot, database: Database) -> None:
    """Only what changed within three days is asked about; the rest is listed and left alone."""
    await bot.train("old")
    await bot.train("new")
    await age(database, "old", 3.1)
    await age(database, "new", 2.9)
    await intake()
    assert {name: row[0] for name, row in (await met(database)).items()} == {"old": "historic", "new": "pending"}


async def test_rows_met_later_are_never_historic(
    intake: Intake, bot: Bot, database: Database, clock: FrozenClock
) -> None:
    """After the first turn a row is new however old it claims to be: the bot's times may lie."""
    await intake()
    clock.move(EVERY.total_seconds())
    await bot.train("old")
    await age(database, "old", 400)
    await intake()
    assert (await met(database))["old"][0] == "pending"


async def invent(bot: Bot, *request_ids: str, lora_url: str = INVENTED_LORA) -> None:
    """End trainings as the bot's poller does where it cannot read a result."""
    for request_id in request_ids:
        avatar = await bot.train(request_id)
        await bot.write(avatar, status="completed", diffusers_lora_file_url=lora_url)


async def test_what_the_bot_ended_with_an_invention_meanwhile_is_met_after_an_outage(
    intake: Intake, bot: Bot, database: Database, clock: FrozenClock, woken: list[str]
) -> None:
    """Its owner has a file that nobody made, and fal may have the real one: it is asked about at once.

    Not what holds a file of fal's, what has not changed for three days, or what another turn would have met.
    """
    await intake()
    clock.move(OUTAGE.total_seconds() + 1)
    await invent(bot, "invented", "old")
    await invent(bot, "real", lora_url=LORA)
    await age(database, "old", 3.1)
    assert await intake() == 1
    assert {name: row[:1] + row[3:] for name, row in (await met(database)).items()} == {
        "invented": ("pending", clock.at)
    }
    assert woken == ["reconcile"]
    await invent(bot, "later")
    clock.move(EVERY.total_seconds())
    assert await intake() == 0


async def test_the_real_file_takes_the_place_of_the_invention(
    house: House, bot_tables: BotTables, bot: Bot, clock: FrozenClock
) -> None:
    """A training that began and was ended by the bot while nobody looked is completed with what fal has, and told."""
    fal, intake = ScriptedFal(), intake_of(house.database, bot_tables, clock, [])
    fal.said["status", "fal-ai/portrait-trainer"] = COMPLETED
    fal.said["result", "fal-ai/portrait-trainer"] = DONE
    reconcile = reconcile_of(house.database, bot_tables, fal, clock)
    await intake()
    clock.move(OUTAGE.total_seconds() + 1)
    await invent(bot, "r1")
    await intake()
    await reconcile()
    clock.move(GRACE.total_seconds())
    await reconcile()
    await house.apply()
    await house.tell()
    [(status, lora_url)] = await house.database.read(
        lambda connection: connection.execute(text("SELECT status, diffusers_lora_file_url FROM avatars")).all()
    )
    assert (status, lora_url) == ("completed", LORA)
    assert kinds(house.messenger.sent) == ["ready"]


@pytest.fixture
async def fresh(database_url: str) -> AsyncIterator[Database]:
    """Connections of its own: a plan that was made for the few rows of other tests would serve many badly."""
    database = open_database(database_url)
    yield database
    await database.close()


async def test_a_first_start_beside_many_old_rows_asks_and_tells_nobody(fresh: Database, clock: FrozenClock) -> None:
    """10,000 old rows, at training and ended, cost no question and no message, at the start or a day later.

    Those at training become historic jobs in one turn; invented artifacts and rows without any are among the others.
    """
    bot_tables, database = await find_bot_tables(fresh), fresh
    intake = intake_of(database, bot_tables, clock, [])
    await Bot(database).train_many([f"r{number}" for number in range(10_000)])
    at = "2026-01-01 00:00:00.000000" if database.is_sqlite else START - timedelta(days=300)
    with database.engine.begin() as transaction:
        transaction.execute(text("UPDATE avatars SET updated_at = :at"), {"at": at})
        for last, status in ((1, "completed"), (2, "error"), (3, "cancelled")):
            where = f"fal_request_id LIKE '%{last}'"
            transaction.execute(text(f"UPDATE avatars SET status = :status WHERE {where}"), {"status": status})
        invented = text("UPDATE avatars SET diffusers_lora_file_url = :url WHERE fal_request_id LIKE '%5'")
        transaction.execute(invented, {"url": INVENTED_LORA})
    fal = ScriptedFal()
    reconcile = reconcile_of(database, bot_tables, fal, clock)
    mend = Mend(database, bot_tables, clock, INVENTED, every=timedelta(seconds=60), wake_apply=lambda: None)
    machine = Machine(database, clock)
    count_invented = partial(poller_traces.count_invented_at_work, bot_tables=bot_tables, invented=INVENTED)
    taken = [await intake()]
    for _ in range(2):
        assert await reconcile() == 0
        machine.invented = await database.read(count_invented)
        await machine.look()
        clock.move(24 * 3600)
        assert await mend() == 0
        taken.append(await intake())
    assert taken == [7_000, 0, 0]
    assert await database.read(count_states) == [("historic", 7_000)]
    assert fal.asked == []
    assert await machine.told() == []
    assert await database.read(lambda connection: connection.execute(select(notifications)).all()) == []


def count_states(connection: Connection) -> list[tuple[str, int]]:
    rows = connection.execute(text("SELECT state, count(*) FROM webhook_jobs GROUP BY state"))
    return [(str(state), int(number)) for state, number in rows]


async def test_many_are_taken_in_part_by_part(
    intake: Intake, bot: Bot, database: Database, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two parts others may write; a first turn that breaks off after a part is the first again."""
    await bot.train_many([f"r{number}" for number in range(BATCH * 2 + 1)])
    for number in (0, BATCH, BATCH * 2):
        await age(database, f"r{number}", 4)
    write, writes = database.write, 0

    async def writing(function: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise DatabaseUnavailable("gone")
        return await write(function, *args, **kwargs)

    monkeypatch.setattr(database, "write", writing)
    with pytest.raises(DatabaseUnavailable):
        await intake()
    assert len(await met(database)) == BATCH
    monkeypatch.undo()
    clock.move(LEASE.total_seconds())
    assert await intake() == BATCH + 1
    states = Counter(job[0] for job in (await met(database)).values())
    assert states == {"pending": BATCH * 2 - 2, "historic": 3}


async def test_one_replica_takes_a_turn(intake: Intake, bot: Bot, database: Database, clock: FrozenClock) -> None:
    """Until the next turn is due nobody reads the bot's table again."""
    await intake()
    await bot.train("r1")
    assert await intake() == 0
    clock.move(EVERY.total_seconds())
    assert await intake() == 1


async def test_after_an_outage_everything_is_due(
    intake: Intake, bot: Bot, database: Database, clock: FrozenClock, woken: list[str]
) -> None:
    """Nobody looked for longer than OUTAGE: every open job is due at once and the asking is woken."""
    await bot.train("r1")
    await intake()
    clock.move(OUTAGE.total_seconds() - 1)
    await intake()
    assert (await met(database))["r1"][3] == START + AFTER
    clock.move(OUTAGE.total_seconds() + 1)
    await database.write(
        lambda connection: connection.execute(jobs.update().values(due_at=clock.at + timedelta(hours=1))) and None
    )
    await intake()
    assert (await met(database))["r1"][3] == clock.at
    assert woken == ["reconcile"]
