"""From fal's answer to the operator's chat: within five minutes of the first sight of a job (fault 56)."""

from datetime import timedelta
from typing import Any

import pytest

from app.db.engine import Database
from app.db.trainings import BotTables
from app.domain.look import Trouble, Unsaid
from app.fal.payload import FalAnswer
from app.flows.intake import Intake
from tests.fakes import START, FrozenClock
from tests.flows.asking import COMPLETED, DOWN, PORTRAIT, Desk, desk_of
from tests.flows.conftest import House
from tests.flows.test_watch import Machine

pytestmark = pytest.mark.anyio

WITHIN = timedelta(minutes=5)
AFTER = timedelta(seconds=120)  # RECONCILE_AFTER
REFUSED_KEY = FalAnswer(401, {}, b'{"detail":"invalid key credentials"}')
LOCKED = FalAnswer(403, {}, b'{"detail":"User is locked. Reason: Exhausted balance."}')


@pytest.fixture
def desk(house: House, bot_tables: BotTables, bot: Any, clock: FrozenClock) -> Desk:
    return desk_of(house.database, bot_tables, bot, clock)


async def live(desk: Desk, house: House, bot_tables: BotTables, machine: Machine, *, until: Any) -> timedelta:
    """Let everything take its turns, ten seconds apart and alerts once a minute, until the operator was told."""
    every = timedelta(seconds=60)
    intake = Intake(
        house.database,
        bot_tables,
        desk.clock,
        endpoint_of=lambda _: PORTRAIT,
        after=AFTER,
        every=every,
        wake=lambda: None,
    )
    began = desk.clock.at
    while desk.clock.at - began <= timedelta(minutes=10):
        await intake()
        await desk.reconcile()
        await house.apply()
        if not (desk.clock.at - START).seconds % 60:
            await machine.look()
        if until in {name for _, name, _ in await machine.told()}:
            return desk.clock.at - began
        desk.clock.move(10)
    raise AssertionError(await machine.told())


@pytest.mark.parametrize("stage", ["status", "result"])
@pytest.mark.parametrize(
    ("answer", "alert"),
    [
        (Unsaid(Trouble.NO_FAL_KEY, "set FAL_API_KEY"), "fal_key_missing"),
        (REFUSED_KEY, "fal_key_refused"),
        (LOCKED, "account_locked"),
    ],
)
async def test_a_key_that_fails_is_told_within_five_minutes(
    desk: Desk, house: House, bot_tables: BotTables, database: Database, *, stage: str, answer: Any, alert: str
) -> None:
    """Counted from the moment at which the training was first seen, whichever question fal refuses."""
    await desk.bot.train("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    desk.fal.said[stage, PORTRAIT] = answer
    machine = Machine(house.database, desk.clock)
    assert await live(desk, house, bot_tables, machine, until=alert) <= WITHIN
    assert await house.messages() != []  # the alert itself
    assert [row["kind"] for row in await house.messages() if row["kind"] in ("ready", "failed")] == []


@pytest.mark.parametrize("listed", [None, DOWN], ids=["list", "no list"])
async def test_a_result_that_is_gone_is_told_within_five_minutes(
    desk: Desk, house: House, bot_tables: BotTables, listed: Any
) -> None:
    """Counted from the first look at which fal did not know the job, with or without fal's list of requests."""
    await desk.bot.train("r1", telegram_id="42")
    await desk.register("r1")
    if listed is not None:
        desk.fal.said["listed", PORTRAIT] = listed
    machine = Machine(house.database, desk.clock)
    assert await live(desk, house, bot_tables, machine, until="results_gone") <= WITHIN
    [failed] = [row for row in await house.messages() if row["kind"] == "failed"]
    assert failed["cause"] == "result_gone"
