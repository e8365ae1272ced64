"""Faults 42 and 43 on the real process: Telegram slows us down, goes away and comes back."""

import asyncio
import time
from itertools import pairwise

import pytest

from app.twins import telegram_faults
from tests.faults.rig import FULL, Rig, full_only, job, many, tell, until

pytestmark = pytest.mark.anyio

RATE = 25  # messages per second
BUNCHED = 1.4  # slots are even, but a busy machine lets what was sent evenly arrive in bunches
SLACK = 2.0  # s on a busy machine: the poll interval and a turn of the worker


async def test_a_429_is_obeyed_to_the_second_and_over_a_restart(sqlite_rig: Rig) -> None:
    """Nothing goes to the chat before retry_after has passed, whoever was restarted meanwhile (fault 42)."""
    pause = many(30, 4)
    pair = job(0)
    sqlite_rig.train([pair[0]])
    server = await sqlite_rig.start(TELEGRAM_RATE=str(RATE))
    sqlite_rig.outside.telegram.fail(telegram_faults.rate_limited(pause))
    async with sqlite_rig.sender() as fal:
        await fal.deliver(*pair)
    await until(lambda: bool(sqlite_rig.count("webhook_notifications", "reason = 'slow_down'")), 10)
    assert await server.stop() == 0
    await sqlite_rig.start(TELEGRAM_RATE=str(RATE))
    back = time.time()
    await sqlite_rig.settled(pause + 15)
    sends = [call for call in sqlite_rig.outside.telegram.calls if call.name.lower() == "sendmessage"]
    waited = sends[1].at - sends[0].at
    figures = sqlite_rig.check()
    tell("429", retry_after=pause, waited=round(waited, 3), sends=len(sends), figures=figures)
    assert [send.status for send in sends] == [429, 200]
    assert pause <= waited <= max(pause, back - sends[0].at) + SLACK


@full_only
async def test_after_an_outage_the_queue_drains_in_order_and_at_the_budget(rig: Rig) -> None:
    """Telegram answers 502 for a while; then owners are told in the order of their trainings, 25 a second (fault 43).

    Those whose own try failed have their own backoff and may come later. In the long form the server is restarted in
    the middle of the outage.
    """
    amount = many(200, 40)
    pairs = [job(number) for number in range(amount)]
    rig.train([request_id for request_id, _ in pairs])
    telegram = rig.outside.telegram
    telegram.fail(telegram_faults.BAD_GATEWAY, standing=True)
    server = await rig.start(TELEGRAM_RATE=str(RATE))
    async with rig.sender() as fal:
        for pair in pairs:
            await fal.deliver(*pair)
    await until(lambda: rig.count("webhook_notifications") == amount, 30)
    if FULL:
        assert await server.stop() == 0
        await rig.start(TELEGRAM_RATE=str(RATE))
    await asyncio.sleep(many(30, 3))
    tried = len(telegram.calls)
    telegram.mend()
    back = time.monotonic()
    await rig.settled(60 + amount / RATE)
    drained = time.monotonic() - back
    heard = list(telegram.messages)
    figures = rig.check(healed_after=drained)
    failed = {call.chat_id for call in telegram.calls if call.status == 502}
    order = [message.chat_id for message in heard if message.chat_id not in failed]
    swaps = sum(a > b for a, b in pairwise(order))
    busiest = max(sum(start.at <= other.at < start.at + 1 for other in heard) for start in heard)
    tell(
        "telegram outage",
        queued=amount,
        tries_while_down=tried,
        owners_tried_while_down=len(failed),
        first_after=round(heard[0].at - (time.time() - (time.monotonic() - back)), 1),
        drained_after=round(drained, 1),
        busiest_second=busiest,
        out_of_order=swaps,
        figures=figures,
    )
    assert busiest <= RATE * BUNCHED
    assert swaps == 0
