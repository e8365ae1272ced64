"""What applying does while something is in its way: the database away, rows that the bot holds."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, LiteralString

import psycopg
import pytest

from app.db import engine
from app.db.engine import Database, open_database
from app.db.trainings import BotTables
from app.domain.errors import DatabaseUnavailable
from app.flows.apply import Apply
from app.flows.planning import RetryLimits
from app.worker import STUCK, Routine, Worker
from tests.factories import Bot
from tests.fakes import FakeFalQueue, FrozenClock, moving_sleep, no_jitter
from tests.flows.conftest import House, kinds_of

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
WITHIN = 30  # s on a busy machine
LOCK = "SELECT id FROM avatars WHERE fal_request_id = 'held' FOR {mode}"


def patient(
    house: House, bot_tables: BotTables, clock: FrozenClock, sleep: Callable[[float], Any] | None = None
) -> Apply:
    """Apply with the longest lease that LEASE_SECONDS may set."""
    return Apply(
        house.database,
        kinds_of(bot_tables),
        FakeFalQueue(),
        clock,
        RetryLimits(3, timedelta(hours=24), HOUR),
        chance=no_jitter,
        wake_notify=lambda: None,
        sleep=sleep or moving_sleep(clock),
    )


async def test_waiting_for_the_database_is_no_hang(
    house: House, bot: Bot, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage of half an hour within a lease of an hour leaves the worker alive, and the row is applied (fault 8)."""
    avatar_id = await bot.train("r1")
    await house.deliver("r1")
    clock, real = house.clock, bot_tables.lock
    back, alive = clock.at + HOUR / 2, []
    routine = Routine("apply", _never, STUCK)
    worker = Worker([routine], clock.elapsed)
    flow = patient(house, bot_tables, clock)
    flow.on_progress = lambda: worker.note_life(routine)

    def lock(transaction: Any, ids: Sequence[str]) -> Any:
        alive.append(worker.is_alive())
        if clock.at < back:
            clock.move(9)  # as an attempt takes that a hung server leaves without an answer
            raise DatabaseUnavailable("no answer within 9 s")
        return real(transaction, ids)

    monkeypatch.setattr(bot_tables, "lock", lock)
    worker.note_life(routine)
    assert await flow() == 1
    assert len(alive) > 100
    assert all(alive)
    assert (await bot.avatar(avatar_id))["word"] == "completed"


async def test_a_real_hang_while_applying_is_still_found(
    house: House, bot: Bot, bot_tables: BotTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait without an end gives no sign of life: a minute later the worker counts as stuck."""
    await bot.train("r1")
    await house.deliver("r1")
    routine = Routine("apply", _never, STUCK)
    worker = Worker([routine], house.clock.elapsed)
    flow = patient(house, bot_tables, house.clock)
    flow.on_progress = lambda: worker.note_life(routine)
    begun, end = threading.Event(), threading.Event()

    def hang(*_: object) -> None:
        begun.set()
        end.wait()

    monkeypatch.setattr(bot_tables, "lock", hang)
    turn = asyncio.create_task(flow())
    await asyncio.to_thread(begun.wait)
    assert worker.is_alive()
    house.clock.move(STUCK.total_seconds())
    assert not worker.is_alive()
    turn.cancel()
    await asyncio.gather(turn, return_exceptions=True)
    end.set()


async def _never() -> float:
    raise NotImplementedError


@asynccontextmanager
async def held_by_the_bot(postgres_url: str, mode: LiteralString = "UPDATE") -> AsyncIterator[None]:
    """Keep the avatar of request id `held` locked in a connection of the bot's own."""
    async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
        await connection.execute(LOCK.format(mode=mode))
        yield


@pytest.fixture
async def database(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """PostgreSQL alone: SQLite has one writer, and so no rows that somebody else holds."""
    monkeypatch.setattr(engine, "STATEMENT_TIMEOUT", 500)
    database = open_database(postgres_url)
    yield database
    await database.close()


async def test_a_row_that_the_bot_holds_costs_only_its_own(house: House, bot: Bot, postgres_url: str) -> None:
    """Of a batch all but the locked one are applied at once; it is applied after its release (fault 12)."""
    names = ["r1", "held", "r2", "r3"]
    await bot.train_many(names)
    for name in names:
        await house.deliver(name)
    async with held_by_the_bot(postgres_url):
        async with asyncio.timeout(WITHIN):
            assert await house.apply() == 4
        assert {row["request_id"]: (row["state"], row["reason"], row["failures"]) for row in await house.rows()} == {
            "r1": ("done", "completed", 0),
            "held": ("pending", "locked", 0),
            "r2": ("done", "completed", 0),
            "r3": ("done", "completed", 0),
        }
    house.clock.move(5)
    assert await house.apply() == 1
    assert [row["reason"] for row in await house.rows()] == ["completed"] * 4


async def test_rows_that_point_to_an_avatar_hold_nothing_up(house: House, bot: Bot, postgres_url: str) -> None:
    """While the bot stores what belongs to an avatar, the avatar is applied at once: only its key is held."""
    await bot.train("held")
    await house.deliver("held")
    async with held_by_the_bot(postgres_url, "KEY SHARE"):
        await house.apply()
        assert [row["reason"] for row in await house.rows()] == ["completed"]


async def test_a_namesake_that_the_bot_holds_is_not_overlooked(house: House, bot: Bot, postgres_url: str) -> None:
    """Two avatars with one request id, one of them locked: not taken for the other, but left until both are seen."""
    await bot.train("held")
    async with held_by_the_bot(postgres_url):
        await bot.train("held")
        await house.deliver("held")
        async with asyncio.timeout(WITHIN):
            await house.apply()
        assert [row["reason"] for row in await house.rows()] == ["locked"]
    house.clock.move(5)
    await house.apply()
    assert [row["reason"] for row in await house.rows()] == ["ambiguous_training"]


async def test_a_locked_table_is_an_unavailable_database(
    house: House, bot: Bot, bot_tables: BotTables, postgres_url: str
) -> None:
    """A migration of the bot's holds all its rows: nothing is cut up or counted as failed, and all comes right."""
    await bot.train("r1")
    await house.deliver("r1")
    async with await psycopg.AsyncConnection.connect(postgres_url) as bots:
        await bots.execute("LOCK TABLE avatars IN ACCESS EXCLUSIVE MODE")
        released: list[float] = []

        async def sleep(seconds: float) -> None:
            released.append(seconds)
            await bots.commit()

        assert await patient(house, bot_tables, house.clock, sleep)() == 1
    assert len(released) == 1
    assert [(row["reason"], row["failures"]) for row in await house.rows()] == [("completed", 0)]
