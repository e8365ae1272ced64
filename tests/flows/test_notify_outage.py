"""While Telegram gives no answer: few find out, the others wait in their order."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db.tables import slots
from app.domain.notification import Notification
from app.domain.send_outcome import Down, SendOutcome, SlowDown, TokenRefused, Uncertain
from app.flows.notify import claiming as notify
from app.flows.notify.claiming import Notify
from tests.factories import Bot
from tests.fakes import START, moving_sleep, no_jitter
from tests.flows.conftest import House, on_sqlite
from tests.flows.test_notify import owe
from tests.flows.under_way import ended

pytestmark = pytest.mark.anyio

OWNERS = 20


async def owe_many(house: House, bot: Bot, amount: int = OWNERS) -> None:
    for number in range(amount):
        await owe(house, bot, f"r{number:02}", str(100 + number))


def tried(house: House) -> list[str]:
    return [one.request_id for one in house.messenger.sent]


async def pass_time(house: House, seconds: int) -> None:
    for _ in range(seconds):
        await house.tell()
        house.clock.move(1)


@pytest.mark.parametrize(
    "outcome", [Down("502"), Uncertain("hang"), TokenRefused("401")], ids=["down", "hanging", "token refused"]
)
async def test_who_has_a_slot_already_goes_back_unsent(house: House, bot: Bot, outcome: SendOutcome) -> None:
    """What the first one learns holds for the others that were claimed with it; none of them lost a try (fault 43)."""
    await owe_many(house, bot)
    house.messenger.outcomes = [outcome]
    await house.tell()
    assert tried(house) == ["r00"]
    rows = (await house.messages())[1:]
    assert {(row["state"], row["reason"], row["failures"], row["uncertain"]) for row in rows} == {
        ("pending", "paced", 0, 0)
    }


async def test_who_went_back_keeps_its_place(house: House, bot: Bot) -> None:
    """After the rest the claimed ones go out before those that were owed after them (fault 43)."""
    await owe_many(house, bot, 5)
    house.messenger.outcomes = [Down("502")]
    await house.tell()
    house.clock.move(1)
    await owe(house, bot, "r05", "105")
    house.clock.move(15)
    await pass_time(house, 3)
    assert [one for one in tried(house) if one != "r00"] == ["r01", "r02", "r03", "r04", "r05"]


@on_sqlite
async def test_an_outage_without_a_word_costs_few_a_try(house: House, bot: Bot) -> None:
    """A minute of sends that nobody answers: single ones find out, ever rarer, and nobody is given up (fault 43)."""
    await owe_many(house, bot)
    house.messenger.outcomes = [Uncertain("hang")] * 1000
    await pass_time(house, 60)
    assert len(tried(house)) <= 5
    assert {row["state"] for row in await house.messages()} == {"pending"}
    house.messenger.outcomes = []
    await pass_time(house, 60)
    assert {row["state"] for row in await house.messages()} == {"sent"}


async def test_two_429_rest_the_whole_bot_as_long_as_the_second_must(house: House, bot: Bot) -> None:
    """Whoever has a slot waits too, and the wait is kept over a restart (fault 42)."""
    await owe_many(house, bot, 5)
    house.messenger.outcomes = [SlowDown(30), SlowDown(60)]
    began = house.clock.at
    await house.tell()
    assert tried(house) == ["r00", "r01"]
    with house.database.engine.connect() as connection:
        ends = (connection.execute(select(slots.c.next_at).where(slots.c.bucket == "bot:asked"))).scalar_one()
    assert ends >= began + timedelta(seconds=60)
    house.clock.at = began + timedelta(seconds=59)
    assert await house.tell() == 0
    house.clock.move(2)
    assert await house.tell() == 5


async def test_a_429_stops_what_waits_for_its_slot_in_that_chat(house: House, bot: Bot) -> None:
    """A second message to the chat has its slot a second later: it goes back until the wait is over (fault 42)."""
    await owe_many(house, bot, 30)
    with house.database.engine.begin() as transaction:
        transaction.exec_driver_sql("UPDATE webhook_notifications SET chat_id = 100 WHERE request_id IN ('r00', 'r29')")
    house.messenger.outcomes = [SlowDown(30)]
    await house.tell()
    assert "r29" not in tried(house)
    assert len(tried(house)) == 29
    last = (await house.messages())[-1]
    assert (last["reason"], last["failures"]) == ("paced", 0)
    assert last["due_at"] >= START + timedelta(seconds=30)


class Mute:
    """Takes every message and says nothing until released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.asked: list[Notification] = []

    async def __call__(self, notification: Notification) -> SendOutcome:
        self.asked.append(notification)
        await self.released.wait()
        return Down("late")


async def test_a_turn_ends_even_when_no_send_does(house: House, bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no room left a turn waits for a moment only, so that nobody takes the worker for stuck (fault 8)."""
    monkeypatch.setattr(notify, "CONCURRENT", 1)
    monkeypatch.setattr(notify, "PATIENCE", 0.01)
    mute = Mute()
    tell = Notify(
        house.database,
        house.records,
        mute,
        house.clock,
        lease=timedelta(seconds=60),
        limit=3,
        rate=25,
        chance=no_jitter,
        sleep=moving_sleep(house.clock),
    )
    await owe_many(house, bot, 2)
    assert await tell() == 1
    async with asyncio.timeout(30):
        assert await tell() == 0
    mute.released.set()
    await ended(tell)
    assert len(mute.asked) == 1


def test_a_turn_that_waits_is_no_stuck_one() -> None:
    """The wait for room leaves time for the rest of a turn before a minute is over."""
    assert notify.PATIENCE <= 20
