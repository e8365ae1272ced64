"""An orderly end: nothing new begins, what is being sent may end."""

import asyncio
from datetime import timedelta

import pytest

from app.domain.notification import Notification
from app.domain.send_outcome import SendOutcome, Sent
from app.flows.notify.claiming import Notify
from tests.factories import Bot
from tests.fakes import no_jitter
from tests.flows.conftest import House
from tests.flows.test_notify import owe

pytestmark = pytest.mark.anyio


class Slow:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[Notification] = []
        self.heard = asyncio.Event()
        self.answer = asyncio.Event()

    async def __call__(self, notification: Notification) -> SendOutcome:
        self.asked.append(notification)
        self.heard.set()
        await self.answer.wait()
        return Sent(1, 42)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def tell(house: House, slow: Slow) -> Notify:
    async def never(_seconds: float) -> None:
        await asyncio.Event().wait()

    return Notify(
        house.database,
        house.records,
        slow,
        house.clock,
        lease=timedelta(seconds=60),
        limit=3,
        rate=25,
        chance=no_jitter,
        sleep=never,
    )


async def test_a_stop_lets_what_is_being_sent_end(house: House, bot: Bot, slow: Slow, tell: Notify) -> None:
    """The one on its way is recorded as sent, the one that waits for its slot is due at once (fault 51)."""
    await owe(house, bot, "r1", "42")
    await owe(house, bot, "r2", "43")
    await tell()
    await slow.heard.wait()
    tell.stop()
    slow.answer.set()
    await tell.close(30)
    assert [(row["state"], row["reason"], row["uncertain"]) for row in await house.messages()] == [
        ("sent", "sent", 0),
        ("pending", "stopped", 0),
    ]
    house.clock.move(2)  # its chat rests for a second after the slot that it gave back
    assert await house.tell() == 1


async def test_after_a_stop_nothing_is_claimed(house: House, bot: Bot, slow: Slow, tell: Notify) -> None:
    """The worker may take more turns while requests end: they begin no send (fault 51)."""
    tell.stop()
    await owe(house, bot)
    assert await tell() == 0
    await tell.close(0)
    assert slow.asked == []
    assert [row["attempt"] for row in await house.messages()] == [0]


async def test_what_is_claimed_while_the_stop_begins_is_given_back(
    house: House, bot: Bot, slow: Slow, tell: Notify
) -> None:
    """A claim that was under way finds the stop, and sends nothing (fault 51)."""
    await owe(house, bot)
    assert await tell() == 1
    tell.stop()
    await tell.close(30)
    assert slow.asked == []
    assert [(row["state"], row["reason"]) for row in await house.messages()] == [("pending", "stopped")]


async def test_patience_counts_from_the_stop(house: House, bot: Bot, slow: Slow, tell: Notify) -> None:
    """Whatever time the requests took is taken off: a send that hangs does not hold up the end (fault 51)."""
    await owe(house, bot)
    await tell()
    await slow.heard.wait()
    tell.stop()
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await tell.close(0.0)
    assert [(row["state"], row["reason"]) for row in await house.messages()] == [("pending", "sending")]
