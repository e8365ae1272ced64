"""Claimed notifications → Tell → verdict, each in its slot."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import cast

import structlog

from app.db import outbox, pacing
from app.db.engine import Connection, Database
from app.db.group_commit import GroupCommit
from app.db.outbox import Told
from app.db.trainings import BotTables
from app.domain.delivery import milliseconds
from app.domain.errors import ClaimLost, DatabaseUnavailable
from app.domain.notification import ClaimedNotification, Notification, NotificationState
from app.domain.send_outcome import SendOutcome, Uncertain
from app.domain.send_policy import Judgement, Rests, judge
from app.domain.verdict import Bury, Done, Retry, last_words, retry_or_bury
from app.flows.ports import Clock

log = structlog.get_logger("app.webhook")

CONCURRENT = 64  # sends under way at the same time
RECORD_PAUSE = 0.5  # s between tries to record what Telegram said
PATIENCE = 15.0  # s that a turn waits for room; the worker takes one that lasts longer than a minute for stuck
MARGIN = timedelta(seconds=5)  # a send must end this long before its lease does


@dataclass(frozen=True, slots=True)
class Record:
    """What one try left to be written in one commit."""

    told: Told
    judgement: Judgement


def write_records(bot_tables: BotTables, connection: Connection, records: Sequence[Record]) -> list[None]:
    """Write a group of records: the notification, the pauses, and as far as it can be done the owner's `is_blocked`.

    The bot's table may refuse us, or be locked by the bot: that must not cost the record of what was sent.
    """
    outbox.finish(connection, [record.told for record in records])
    for record in sorted(records, key=lambda record: not record.judgement.pause_bot):
        judgement = record.judgement
        if judgement.pause_until is not None:
            chat_id = None if judgement.pause_bot else record.told.claimed.notification.owner.chat_id
            pacing.pause(connection, chat_id, judgement.pause_until, asked=judgement.pause_asked)
    if any(record.judgement.blocked is not None for record in records):
        refused = outbox.set_aside(connection, partial(_write_blocked, bot_tables, connection, records))
        if refused is not None:
            log.warning("owner.blocked_not_written", cause=refused)
    return [None] * len(records)


def _write_blocked(bot_tables: BotTables, connection: Connection, records: Sequence[Record]) -> None:
    for blocked in (True, False):
        owners = {
            record.told.claimed.notification.owner.id for record in records if record.judgement.blocked is blocked
        }
        bot_tables.set_blocked(connection, sorted(owners), blocked=blocked)


class Notify:
    """Tell owners what is due; sends run beside each other, claims happen as room frees up."""

    def __init__(
        self,
        database: Database,
        records: GroupCommit[Record, None],
        tell: Callable[[Notification], Awaitable[SendOutcome]],
        clock: Clock,
        *,
        lease: timedelta,
        limit: int,
        rate: float,
        chance: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._records = records
        self._tell_owner = tell
        self._clock = clock
        self._lease = lease
        self._limit = limit
        self._rate = rate
        self._chance = chance
        self._sleep = sleep
        self._under_way: dict[asyncio.Task[None], datetime] = {}  # and when the lease of each ends
        self._asleep: set[asyncio.Task[None]] = set()  # those whose slot has not come
        self._unrecorded: dict[int, Judgement] = {}  # of what Telegram took and the database would not hear of
        self._rests = Rests()
        self._stopped_at: float | None = None  # on the loop's clock

    async def __call__(self) -> int:
        """Claim as many due notifications as there is room for and start telling them; return how many.

        While Telegram gives no answer that is one at a time: what it finds out holds for all.
        """
        if self._under_way and not self._room():
            await asyncio.wait(self._under_way, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        room, now = self._room(), self._clock.now()
        if not room or self._stopped_at is not None or self._rests.ends(None, now) is not None:
            return 0
        if any(ends <= now for ends in self._under_way.values()):
            return 0  # told, but the database was away since: claimed anew before that is written, they are told twice
        lease_until = now + self._lease
        claimed = await self._database.write(
            outbox.claim, now=now, lease_until=lease_until, limit=room, rate=self._rate
        )
        for item in claimed:
            if item.is_buried:
                buried = Bury("outcome_unknown")
                self._report(Told(item, buried, NotificationState.DEAD, None, item.uncertain, now))
                continue
            task = asyncio.create_task(self._tell(item, lease_until))
            self._under_way[task] = lease_until
            task.add_done_callback(self._under_way.pop)
        return len(claimed)

    def _room(self) -> int:
        return max(0, (1 if self._rests.is_silent() else CONCURRENT) - len(self._under_way))

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

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
        if (known := self._unrecorded.pop(item.claim.id, None)) is not None:
            await self._record(item, known, lease_until)
            return
        try:
            await self._await_slot(item, lease_until)
            held_back = self._held_back(item)
            judgement = await self._try(item) if held_back is None else Judgement(held_back, uncertain=item.uncertain)
        except Exception as error:  # a bug in one message must not hold up the others
            log.exception("notification.failed", notification=item.claim.id)
            judgement = self._our_bug(item, error)
        await self._record(item, judgement, lease_until)

    async def _await_slot(self, item: ClaimedNotification, lease_until: datetime) -> None:
        # No slot is further ahead than HORIZON, unless the clock was put back since.
        delay = min(item.send_at - self._clock.now(), outbox.HORIZON).total_seconds()
        if delay <= 0 or self._stopped_at is not None:
            return
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._asleep.add(task)
        try:
            await self._sleep(delay)
        except asyncio.CancelledError:  # nothing was sent: nobody need wait for the lease, or wonder
            verdict = Retry(self._old_place(item), "stopped", failed=False)
            await self._record(item, Judgement(verdict, uncertain=item.uncertain), lease_until)
            raise
        finally:
            self._asleep.discard(task)

    def _held_back(self, item: ClaimedNotification) -> Retry | None:
        """Tell why a message whose slot has come must wait all the same: what others learnt since holds for it, too."""
        now = self._clock.now()
        if self._stopped_at is not None:
            return Retry(self._old_place(item), "stopped", failed=False)
        if self._rests.ends(None, now) is not None:  # nobody is claimed before it ends, so the order can be kept
            return Retry(self._old_place(item), "paced", failed=False)
        until = self._rests.ends(item.notification.owner.chat_id, now)
        return None if until is None else Retry(until, "paced", failed=False)

    def _old_place(self, item: ClaimedNotification) -> datetime:
        """When a message is due that goes back unsent: before everything that was owed after it."""
        return min(item.applied_at, self._clock.now())

    async def _try(self, item: ClaimedNotification) -> Judgement:
        outcome = await self._send(item)
        now = self._clock.now()
        judgement = judge(
            outcome,
            failures=item.failures,
            uncertain=item.uncertain,
            owed_since=item.applied_at,
            now=now,
            jitter=self._chance(),
            silences=max(1, self._rests.hear(outcome, now)),
        )
        return self._rests.note(judgement, item.notification.owner.chat_id, now)

    async def _send(self, item: ClaimedNotification) -> SendOutcome:
        """Send within the lease, so that nobody else takes the message over while it is on its way."""
        try:
            async with asyncio.timeout((self._lease - MARGIN - outbox.HORIZON).total_seconds()):
                return await self._tell_owner(item.notification)
        except TimeoutError:
            return Uncertain("no answer within the lease")

    def _our_bug(self, item: ClaimedNotification, error: Exception) -> Judgement:
        verdict = retry_or_bury(
            "bug",
            last_words(error),
            failures=item.failures,
            limit=self._limit,
            now=self._clock.now(),
            jitter=self._chance(),
        )
        return Judgement(verdict, uncertain=item.uncertain)

    async def _record(self, item: ClaimedNotification, judgement: Judgement, lease_until: datetime) -> None:
        """Write the outcome down, however long the database is away: a sent message must not be sent again.

        What fails otherwise is tried without the owner's `is_blocked`, and until the lease ends. Then this process
        knows what to write when it claims the row again; another one counts a send of unknown outcome.
        """
        told = Told(
            item, judgement.verdict, judgement.state, judgement.message_id, judgement.uncertain, self._clock.now()
        )
        has_failed = False
        while True:
            try:
                await self._records.submit(Record(told, judgement))
            except ClaimLost:
                log.warning("notification.claim_lost", notification=item.claim.id)
                return
            except DatabaseUnavailable as error:
                if self._clock.now() >= lease_until:  # an owner's row that never gives way looks like an outage, too
                    judgement = _without_blocked(judgement, error)
            except Exception as error:
                if not has_failed:
                    log.exception("notification.not_recorded", notification=item.claim.id)
                if self._clock.now() >= lease_until:
                    self._unrecorded[item.claim.id] = judgement
                    return
                has_failed, judgement = True, _without_blocked(judgement, error)
            else:
                break
            await self._sleep(RECORD_PAUSE)
        self._report(told)

    def _report(self, told: Told) -> None:
        item = told.claimed
        ids = {
            "notification": item.claim.id,
            "request_id": item.notification.request_id,
            "avatar": item.notification.subject,
            "kind": item.notification.topic,
            "why": told.verdict.why,
        }
        match told.verdict:
            case Done():
                log.info(
                    "notification.told",
                    **ids,
                    state=told.state,
                    message_id=told.message_id,
                    received_at=item.received_at.isoformat(),
                    stored_ms=milliseconds(item.received_at, item.stored_at),
                    applied_ms=milliseconds(item.received_at, item.applied_at),
                    told_ms=milliseconds(item.received_at, told.finished_at),
                )
            case Retry(at):
                next_at = max(at, told.finished_at).isoformat()
                log.warning("notification.postponed", **ids, attempt=item.claim.attempt, next_at=next_at)
            case Bury():
                log.error("notification.buried", **ids)


def _without_blocked(judgement: Judgement, error: Exception) -> Judgement:
    if judgement.blocked is not None:
        log.warning("owner.blocked_not_written", cause=type(error).__name__)
    return replace(judgement, blocked=None)
