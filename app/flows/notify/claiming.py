"""Claimed notifications → Tell → verdict, each in its slot."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import cast

import structlog

from app.db import outbox
from app.db.engine import Database
from app.db.group_commit import GroupCommit
from app.db.outbox import Told
from app.domain.measures import Measures
from app.domain.notification import ClaimedNotification, Notification, NotificationState
from app.domain.send_outcome import SendOutcome, Uncertain
from app.domain.send_policy import Judgement, judge
from app.domain.verdict import Bury, Retry, last_words, retry_or_bury
from app.flows.notify.recording import Recorder, report
from app.flows.notify.rests import Rests
from app.flows.ports import Clock
from app.flows.steps import UNWATCHED, Watched

log = structlog.get_logger("app.webhook")

CONCURRENT = 64  # sends under way at the same time
PATIENCE = 15.0  # s that one turn waits for a free send; below the minute after which the worker counts it as stuck
MARGIN = timedelta(seconds=5)  # a send must end this long before its lease does


@dataclass(eq=False, repr=False, slots=True)
class Notify:
    """Tell owners what is due; sends run beside each other, claims happen as room frees up."""

    database: Database
    records: GroupCommit[Told, None]
    tell: Callable[[Notification], Awaitable[SendOutcome]]
    clock: Clock
    _: KW_ONLY
    lease: timedelta
    limit: int
    rate: float
    chance: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    steps: Watched = UNWATCHED
    measures: Measures = field(default_factory=Measures)
    _recorder: Recorder = field(init=False)
    # and when the lease of each ends
    _under_way: dict[asyncio.Task[None], datetime] = field(default_factory=dict, init=False)
    # those that wait for their slot: nothing was sent yet
    _asleep: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _rests: Rests = field(default_factory=Rests, init=False)
    _stopped_at: float | None = field(default=None, init=False)  # on the loop's clock

    def __post_init__(self) -> None:
        self._recorder = Recorder(self.records, self.clock, self.sleep, self.steps, self.measures)

    async def __call__(self) -> int:
        """Claim as many due notifications as there is room for and start telling them; return how many.

        While Telegram gives no answer that is one at a time: what it finds out holds for all.
        """
        if self._under_way and not self._room():
            await asyncio.wait(self._under_way, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        room, now = self._room(), self.clock.now()
        if not room or self._stopped_at is not None or self._rests.ends(None, now) is not None:
            return 0
        if any(ends <= now for ends in self._under_way.values()):
            return 0  # some outcomes are not recorded yet: claiming those rows again would send them twice
        lease_until = now + self.lease
        claimed = await self.database.write(outbox.claim, now=now, lease_until=lease_until, limit=room, rate=self.rate)
        for item in claimed:
            if item.is_buried:
                buried = Judgement(Bury("outcome_unknown"), NotificationState.DEAD, uncertain=item.uncertain)
                report(Told(item, buried, now))
                continue
            task = asyncio.create_task(self._tell(item, lease_until))
            self._under_way[task] = lease_until
            task.add_done_callback(self._under_way.pop)
        return len(claimed)

    def _room(self) -> int:
        return max(0, (1 if self._rests.is_silent() else CONCURRENT) - len(self._under_way))

    def stop(self) -> None:
        """Claim no more, and give back what waits for its slot; what is being sent goes on."""
        if self._stopped_at is None:
            self._stopped_at = asyncio.get_running_loop().time()
            for task in self._asleep:
                task.cancel()

    async def close(self, patience: float) -> None:
        """Cut off what is still being sent `patience` seconds after `stop`: it is due when its lease ends."""
        self.stop()
        loop = asyncio.get_running_loop()
        left = patience - (loop.time() - (self._stopped_at or 0.0))
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=max(left, 0.0))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _tell(self, item: ClaimedNotification, lease_until: datetime) -> None:
        if (known := self._recorder.take_unrecorded(item)) is not None:
            await self._recorder.record(item, known, lease_until)
            return
        try:
            await self._await_slot(item, lease_until)
            held_back = self._held_back(item)
            judgement = await self._try(item) if held_back is None else Judgement(held_back, uncertain=item.uncertain)
        except Exception as error:  # a bug in one message must not hold up the others
            log.exception("notification.failed", notification=item.claim.id)
            judgement = self._our_bug(item, error)
            self.steps.failed("notifications", error)
        else:
            self.steps.worked("notifications")
        await self._recorder.record(item, judgement, lease_until)

    async def _await_slot(self, item: ClaimedNotification, lease_until: datetime) -> None:
        # No slot is further ahead than HORIZON, unless the clock was put back since.
        delay = min(item.send_at - self.clock.now(), outbox.HORIZON).total_seconds()
        if delay <= 0 or self._stopped_at is not None:
            return
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._asleep.add(task)
        try:
            await self.sleep(delay)
        except asyncio.CancelledError:  # nothing was sent: put it back now, before the lease ends
            verdict = Retry(self._old_place(item), "stopped", failed=False)
            await self._recorder.record(item, Judgement(verdict, uncertain=item.uncertain), lease_until)
            raise
        finally:
            self._asleep.discard(task)

    def _held_back(self, item: ClaimedNotification) -> Retry | None:
        """Tell why a message whose slot has come must still wait: a send since its claim may have started a rest."""
        now = self.clock.now()
        if self._stopped_at is not None:
            return Retry(self._old_place(item), "stopped", failed=False)
        if self._rests.ends(None, now) is not None:  # nothing is claimed meanwhile, so the order is kept
            return Retry(self._old_place(item), "paced", failed=False)
        until = self._rests.ends(item.notification.owner.chat_id, now)
        return None if until is None else Retry(until, "paced", failed=False)

    def _old_place(self, item: ClaimedNotification) -> datetime:
        """When a message is due that goes back unsent: before everything that was owed after it."""
        return min(item.applied_at, self.clock.now())

    async def _try(self, item: ClaimedNotification) -> Judgement:
        outcome = await self._send(item)
        now = self.clock.now()
        judgement = judge(
            outcome,
            failures=item.failures,
            uncertain=item.uncertain,
            owed_since=item.applied_at,
            now=now,
            jitter=self.chance(),
            silences=max(1, self._rests.hear(outcome, now)),
            images_left=0 if item.images is None else len(item.images.left),
        )
        return self._rests.note(judgement, item.notification.owner.chat_id, now)

    async def _send(self, item: ClaimedNotification) -> SendOutcome:
        """Send within the lease, so that nobody else takes the message over while it is on its way."""
        try:
            async with asyncio.timeout((self.lease - MARGIN - outbox.HORIZON).total_seconds()):
                return await self.tell(item.notification)
        except TimeoutError:
            return Uncertain("no answer within the lease")

    def _our_bug(self, item: ClaimedNotification, error: Exception) -> Judgement:
        verdict = retry_or_bury(
            "bug",
            last_words(error),
            failures=item.failures,
            limit=self.limit,
            now=self.clock.now(),
            jitter=self.chance(),
        )
        return Judgement(verdict, uncertain=item.uncertain)
