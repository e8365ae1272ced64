"""The bot's trainings become jobs by our clock."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from app.db.engine import Connection, Database
from app.db.tables import jobs
from app.db.trainings import BotTables
from app.domain.trainer import Trainer
from app.flows.intake import OUTAGE, Intake
from tests.factories import Bot
from tests.fakes import START, FrozenClock

pytestmark = pytest.mark.anyio

AFTER = timedelta(seconds=120)
EVERY = timedelta(seconds=10)


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def intake(database: Database, bot_tables: BotTables, clock: FrozenClock, woken: list[str]) -> Intake:
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


async def test_a_first_start_beside_many_old_rows_asks_nobody(
    intake: Intake, bot: Bot, database: Database, clock: FrozenClock
) -> None:
    """10,000 old rows become 10,000 historic jobs in one turn; none is ever due."""
    await bot.train_many([f"r{number}" for number in range(10_000)])
    await database.write(
        lambda connection: (
            connection.execute(
                text("UPDATE avatars SET updated_at = :at"),
                {"at": "2026-01-01 00:00:00.000000" if database.is_sqlite else START - timedelta(days=300)},
            )
            and None
        )
    )
    assert await intake() == 10_000
    states = await database.read(
        lambda connection: dict(
            tuple(row) for row in connection.execute(text("SELECT state, count(*) FROM webhook_jobs GROUP BY state"))
        )
    )
    assert states == {"historic": 10_000}


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
