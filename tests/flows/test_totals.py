"""The totals that strangers may ask for."""

import asyncio
import threading
from datetime import datetime
from typing import Any

import pytest

from app.db import views
from app.db.engine import Connection, Database
from app.flows.totals import Totals
from tests.fakes import FrozenClock
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio

WITHIN = 5  # s that a thread of the test waits for another


class Watch:
    """A clock that a count takes time of."""

    def __init__(self) -> None:
        self.at = 100.0
        self.counts = 0
        self.cost = 0.0
        self.may_count = threading.Event()
        self.may_count.set()

    def now(self) -> float:
        return self.at

    def totals(self, _connection: Connection, _now: datetime) -> dict[str, Any]:
        assert self.may_count.wait(WITHIN)
        self.counts += 1
        self.at += self.cost
        return {"deliveries": self.counts}


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    watch = Watch()
    monkeypatch.setattr(views, "totals", watch.totals)
    return watch


async def test_they_are_those_of_the_database(house: House) -> None:
    """What has arrived is counted."""
    await house.deliver("r1")
    assert (await Totals(house.database, house.clock)())["deliveries"]["pending"] == 1


async def test_a_crowd_costs_two_counts(database: Database, watch: Watch) -> None:
    """Whoever asks during a count gets the next one, all together; none can spoil it for the others."""
    totals = Totals(database, FrozenClock(), watch.now)
    watch.cost = 0.001
    watch.may_count.clear()
    asked = asyncio.gather(*(totals() for _ in range(50)))
    await asyncio.sleep(0)
    watch.may_count.set()
    answers = await asked
    answers[0].clear()
    assert watch.counts <= 2
    assert answers[1] == {"deliveries": watch.counts}


async def test_an_answer_is_always_of_now(database: Database, watch: Watch) -> None:
    """What was stored before somebody asked is counted, however long a look takes."""
    totals = Totals(database, FrozenClock(), watch.now)
    watch.cost = 0.5
    assert [(await totals())["deliveries"] for _ in range(3)] == [1, 2, 3]
