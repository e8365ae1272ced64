"""A turn of asking fal: in which order, how many at once, and how long."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.db.engine import Connection, Database
from app.db.tables import jobs
from app.db.trainings import BotTables
from app.domain.look import Unsaid
from app.fal.payload import FalAnswer
from app.flows import reconcile
from app.flows.reconcile import ASKED_AT_ONCE, BATCH
from tests.factories import Bot
from tests.fakes import FrozenClock
from tests.flows.asking import AT_WORK, PORTRAIT, QUEUED, Desk, ScriptedFal, desk_of, reconcile_of

pytestmark = pytest.mark.anyio


class SlowFal(ScriptedFal):
    """Never answers about the `hung`; counts how many questions are under way."""

    def __init__(self, *hung: str) -> None:
        super().__init__({("status", PORTRAIT): QUEUED})
        self.hung, self.under_way, self.most = hung, 0, 0

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await (asyncio.Event().wait() if request_id in self.hung else asyncio.sleep(0))
        finally:
            self.under_way -= 1
        return await super().status(endpoint, request_id, url)


@pytest.fixture
def slow_desk(database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock) -> Desk:
    return desk_of(database, bot_tables, bot, clock, SlowFal("r3"))


async def set_due(database: Database, request_id: str, desk: Desk, minutes: float) -> None:
    due_at = desk.clock.at + timedelta(minutes=minutes)

    def write(connection: Connection) -> None:
        connection.execute(update(jobs).where(jobs.c.request_id == request_id).values(due_at=due_at))

    await database.write(write)


async def test_the_oldest_due_is_asked_about_first(
    database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock
) -> None:
    """Old trainings that work on for hours do not starve those that came after them."""
    desk = desk_of(database, bot_tables, bot, clock)
    old = [f"old{number}" for number in range(BATCH)]
    await desk.train_many([*old, "young"])
    desk.fal.said["status", PORTRAIT] = AT_WORK
    await set_due(database, "young", desk, -5)
    await desk.reconcile()
    first = [request_id for _, _, request_id in desk.fal.asked]
    assert "young" in first
    assert len(first) == BATCH
    await desk.reconcile()
    assert sorted(request_id for _, _, request_id in desk.fal.asked) == sorted([*old, "young"])


async def test_a_job_that_hangs_costs_the_others_nothing(slow_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each job has a deadline of its own: the one that fal does not answer about is asked again later (fault 57)."""
    monkeypatch.setattr(reconcile, "DEADLINE", 0.05)
    await slow_desk.train("r1", "r2", "r3", "r4")
    assert await slow_desk.reconcile() == 4
    rows = {name: await slow_desk.job(name) for name in ("r1", "r2", "r3", "r4")}
    assert {name: row["stage"] for name, row in rows.items()} == {
        "r1": "queued",
        "r2": "queued",
        "r3": None,
        "r4": "queued",
    }
    assert (rows["r3"]["state"], rows["r3"]["reason"], rows["r3"]["failures"]) == ("pending", "fal_down", 1)
    assert rows["r3"]["due_at"] > slow_desk.clock.at


async def test_a_turn_ends_before_its_leases(slow_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not answered within BUDGET is cut off, and what was found meanwhile is on record (fault 57)."""
    monkeypatch.setattr(reconcile, "BUDGET", 0.05)
    await slow_desk.train("r1", "r3")
    assert await slow_desk.reconcile() == 2
    assert [(await slow_desk.job(name))["reason"] for name in ("r1", "r3")] == [None, "fal_down"]
    assert reconcile.DEADLINE < 15 < reconcile.BUDGET + 15 < 60


async def test_few_questions_are_under_way_at_once(
    database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock
) -> None:
    """However many jobs a turn takes."""
    fal = SlowFal()
    await desk_of(database, bot_tables, bot, clock).train_many([f"r{number}" for number in range(BATCH)])
    assert await reconcile_of(database, bot_tables, fal, clock)() == BATCH
    assert fal.most == ASKED_AT_ONCE
