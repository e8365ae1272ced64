"""A worker that leaves out turns which would find nothing: virtual time is free, a turn is not.

A turn that is left out is one at whose moment nothing was due, nothing had been written since the last one, and that
looks at nothing else. Each routine still takes its turn after `REST`, and its turns stay on the beats they would have.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Any

from app.worker import UNWOKEN, Routine, Worker

# Routines and the longest rest (s) between two turns while nothing stirs. Below the two minutes after which `intake`
# takes itself for one that was away, and below the minutes in which alerts must open.
REST = {
    "poll": 600.0, "apply": 600.0, "notify": 600.0, "reconcile": 600.0, "intake": 105.0, "progress": 600.0,
    "prune": 1800.0, "recount": 1800.0, "watch": 600.0, "digest": 900.0, "ping": 900.0, "artifacts": 600.0,
    "promises": 150.0, "drift": 600.0, "direct": 300.0,
}  # fmt: skip
ALARMED = 240.0  # s; the same for chores while something is wrong
SHARED = frozenset(
    {"intake", "promises", "drift", "artifacts", "digest", "prune", "recount"}
)  # one replica's at a time
POLLED = frozenset({"apply", "notify", "reconcile"})  # the poll wakes them for what is due
OF_THE_BOT = frozenset({"intake", "drift"})  # look for what the bot has written
AGAIN = 5  # beats between two polls while the same rows stay due: whoever was woken rests, or waits for an answer
SECOND = 3.0  # s for which a row may be due, in fair weather, before the second replica's poll looks as well


class Stirring:
    """Tells resting routines that something was written. `next_due` is when the first row of a queue falls due."""

    def __init__(self, next_due: Callable[[], float]) -> None:
        self.next_due = next_due
        self.next_sweep: Callable[[], float] = lambda: math.inf  # when a submission without an answer is looked for
        self.by_anybody = asyncio.Event()
        self.by_bot = asyncio.Event()
        self.is_alarmed: Callable[[], bool] = lambda: False
        self.times: Callable[[], float] = lambda: 1.0

    def stir(self, *, bot: bool = False) -> None:
        """Wake whoever rests."""
        self.by_anybody.set()
        self.by_anybody = asyncio.Event()
        if bot:
            self.by_bot.set()
            self.by_bot = asyncio.Event()

    async def rest(self, name: str, beat: float, times: float) -> None:
        """Rest until a turn could find something; turns stay on the beat of `beat` seconds.

        `times` lengthens the rest from turns at what another replica does already.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = began + max(beat, REST[name] * (times if name in SHARED else 1))
        if name in OF_THE_BOT:
            await _within(self.by_bot, end - began)
        elif name == "reconcile":
            while (now := loop.time()) < (turn := min(end, max(self.next_sweep(), began + beat))):
                await _within(self.by_anybody, turn - now)
            return
        elif name == "poll":
            await self._until_due(beat, end, SECOND if times > 1 and not self.is_alarmed() else 0.0)
        else:
            if name not in POLLED and self.is_alarmed():
                end = began + max(beat, min(REST[name], ALARMED))
            await asyncio.sleep(end - began)
            return
        passed = loop.time() - began
        await asyncio.sleep(max(1, math.ceil(passed / beat - 1e-9)) * beat - passed)

    async def _until_due(self, beat: float, end: float, later: float) -> None:
        """Rest until a row is due, or will be at the next beat, and for `later` seconds more."""
        loop = asyncio.get_running_loop()
        if self.next_due() <= loop.time():  # the poll before has woken whom it concerns
            await _within(self.by_anybody, AGAIN * beat)
        while (now := loop.time()) < end and (due := self.next_due() + later) > now + beat:
            await _within(self.by_anybody, min(end, due) - now)


async def _within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


class QuietWorker(Worker):
    """As Worker, but for rests that last until something stirs."""

    stirring: Stirring

    async def _wait(self, job: Routine, seconds: float) -> None:
        if seconds <= 0 and job.name in POLLED and self.stirring.next_due() > asyncio.get_running_loop().time():
            seconds = UNWOKEN  # it took everything that was due
        if job.name not in REST or seconds <= 0:
            await super()._wait(job, seconds)
            return
        usual = job.patience
        job.patience = max(usual, usual * 30)
        resting: Any = asyncio.ensure_future(self.stirring.rest(job.name, seconds, self.stirring.times()))
        woken = asyncio.ensure_future(job.wake.wait())
        try:
            await asyncio.wait({resting, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            resting.cancel()
            woken.cancel()
            job.patience = usual
        job.wake.clear()
