"""The retention chore."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.db import retention
from app.db.engine import Database, open_database
from app.db.tables import deliveries
from app.flows import prune
from app.flows.prune import Prune
from tests.fakes import FrozenClock
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio

KEEP = timedelta(days=30)
HOUR = 3600


@pytest.fixture
def forget(database: Database, clock: FrozenClock) -> Prune:
    return Prune(database, clock, KEEP)


async def end(house: House, count: int) -> None:
    """Deliveries that ended just now."""
    for number in range(count):
        await house.deliver(f"r{number}")
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(state="done", finished_at=house.clock.at))


async def bodies(database: Database) -> int:
    with database.engine.connect() as connection:
        return int((connection.execute(select(func.count(deliveries.c.body)))).scalar_one())


async def test_what_is_old_enough_is_forgotten(house: House, forget: Prune) -> None:
    """Not a moment before its time; the count says how many."""
    await end(house, 3)
    house.clock.move(30 * 24 * HOUR)
    assert await forget() == 0
    house.clock.move(HOUR)
    assert await forget() == 3
    assert await bodies(house.database) == 0


async def test_it_looks_once_an_hour(house: House, forget: Prune) -> None:
    """Between two ticks nothing is done, however often the worker asks."""
    await forget()
    await end(house, 1)
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(finished_at=house.clock.at - 2 * KEEP))
    house.clock.move(HOUR - 1)
    assert await forget() == 0
    house.clock.move(1)
    assert await forget() == 1


async def test_one_replica_does_it(house: House, forget: Prune, database_url: str) -> None:
    """Two that ask at the same moment share no work."""
    await end(house, 3)
    house.clock.move(31 * 24 * HOUR)
    other = open_database(database_url)
    try:
        counts = await asyncio.gather(forget(), Prune(other, house.clock, KEEP)())
    finally:
        await other.close()
    assert sorted(counts) == [0, 3]


async def test_it_goes_in_small_batches(house: House, forget: Prune, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is a transaction of its own, and one tick has an end; the rest waits for the next."""
    monkeypatch.setattr(prune, "BATCH", 2)
    monkeypatch.setattr(prune, "BATCHES", 2)
    await end(house, 5)
    house.clock.move(31 * 24 * HOUR)
    assert await forget() == 4
    house.clock.move(HOUR)
    assert await forget() == 1


async def test_a_tick_that_died_is_taken_over(house: House, forget: Prune, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes later, by whoever asks."""
    await end(house, 1)
    house.clock.move(31 * 24 * HOUR)

    def die(*_) -> int:  # noqa: ANN002  the signature is retention.prune
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(retention, "prune", die)
        with pytest.raises(ZeroDivisionError):
            await forget()
    assert await forget() == 0
    house.clock.move(300)
    assert await forget() == 1
