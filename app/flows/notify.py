"""Claimed notifications → Messenger → verdict, each in its slot."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import structlog

from app.db import outbox, pacing
from app.db.commit import GroupCommit
from app.db.engine import Database, Transaction
from app.db.outbox import Told
from app.db.trainings import BotTables
from app.domain.delivery import milliseconds
from app.domain.errors import ClaimLost, DatabaseUnavailable
from app.domain.notification import ClaimedNotification
from app.domain.sending import SendOutcome, Uncertain
from app.domain.telling import Judgement, judge
from app.domain.verdict import Bury, Done, Retry, last_words, retry_or_bury
from app.flows.ports import Clock, Messenger

log = structlog.get_logger("app.webhook")

CONCURRENT = 64  # sends under way at the same time
RECORD_PAUSE = 0.5  # s between tries to record what Telegram said
SAME_FLOOD = timedelta(seconds=10)  # two chats slowed down within this time mean the whole bot
MARGIN = timedelta(seconds=5)  # a send must end this long before its lease does


@dataclass(frozen=True, slots=True)
class Record:
    """What one try left to be written in one commit."""

    told: Told
    judgement: Judgement


async def write_records(bot_tables: BotTables, transaction: Transaction, records: Sequence[Record]) -> list[None]:
    """Write a group of records: the notification, the owner's `is_blocked`, the pauses."""
    await outbox.finish(transaction, [record.told for record in records])
    for blocked in (True, False):
        owners = {
            record.told.claimed.notification.owner.id for record in records if record.judgement.blocked is blocked
        }
        await bot_tables.set_blocked(transaction, sorted(owners), blocked=blocked)
    for record in records:
        if record.judgement.pause_until is not None:
            chat_id = None if record.judgement.pause_bot else record.told.claimed.notification.owner.chat_id
            await pacing.pause(transaction, chat_id, record.judgement.pause_until)
    return [None] * len(records)


class Notify:
    """Tell owners what is due; sends run beside each other, claims happen as room frees up."""

    def __init__(
        self,
        database: Database,
        records: GroupCommit[Record, None],
        messenger: Messenger,
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
        self._messenger = messenger
        self._clock = clock
        self._lease = lease
        self._limit = limit
        self._rate = rate
        self._chance = chance
        self._sleep = sleep
        self._under_way: dict[asyncio.Task[None], datetime] = {}  # and when the lease of each ends
        self._asleep: set[asyncio.Task[None]] = set()  # those whose slot has not come
        self._slowed: dict[int | None, datetime] = {}  # chats that were told to slow down lately

    async def __call__(self) -> int:
        """Claim as many due notifications as there is room for and start telling them; return how many."""
        if len(self._under_way) >= CONCURRENT:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        now = self._clock.now()
        if any(ends <= now for ends in self._under_way.values()):
            return 0  # told, but the database was away since: claimed anew before that is written, they are told twice
        async with self._database.write() as transaction:
            claimed = await outbox.claim(
                transaction,
                now=now,
                lease_until=now + self._lease,
                limit=CONCURRENT - len(self._under_way),
                rate=self._rate,
            )
        for item in claimed:
            task = asyncio.create_task(self._tell(item))
            self._under_way[task] = now + self._lease
            task.add_done_callback(self._under_way.pop)
        return len(claimed)

    async def idle(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def close(self, patience: float) -> None:
        """Give back what is not sent yet; cut off after `patience` seconds what is: it is due when its lease ends."""
        for task in self._asleep:
            task.cancel()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=patience)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _tell(self, item: ClaimedNotification) -> None:
        try:
            await self._await_slot(item)
            outcome = await self._send(item)
            judgement = judge(
                outcome,
                failures=item.failures,
                uncertain=item.uncertain,
                owed_since=item.applied_at,
                now=self._clock.now(),
                jitter=self._chance(),
            )
        except Exception as error:  # a bug in one message must not hold up the others
            log.exception("notification.failed", notification=item.claim.id)
            judgement = self._our_bug(item, error)
        await self._record(item, self._scoped(item, judgement))

    async def _await_slot(self, item: ClaimedNotification) -> None:
        delay = (item.send_at - self._clock.now()).total_seconds()
        if delay <= 0:
            return
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._asleep.add(task)
        try:
            await self._sleep(delay)
        except asyncio.CancelledError:  # nothing was sent: nobody need wait for the lease, or wonder
            verdict = Retry(self._clock.now(), "stopped", failed=False)
            await self._record(item, Judgement(verdict, uncertain=item.uncertain))
            raise
        finally:
            self._asleep.discard(task)

    def _scoped(self, item: ClaimedNotification, judgement: Judgement) -> Judgement:
        """Widen a pause to the whole bot when two chats were told to slow down: the answer does not say which it is."""
        if judgement.verdict.why != "slow_down":
            return judgement
        now, chat_id = self._clock.now(), item.notification.owner.chat_id
        self._slowed = {chat: at for chat, at in self._slowed.items() if now - at < SAME_FLOOD}
        self._slowed[chat_id] = now
        return replace(judgement, pause_bot=len(self._slowed) > 1)

    async def _send(self, item: ClaimedNotification) -> SendOutcome:
        """Send within the lease, so that nobody else takes the message over while it is on its way."""
        try:
            async with asyncio.timeout((self._lease - MARGIN - outbox.HORIZON).total_seconds()):
                return await self._messenger.send(item.notification)
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

    async def _record(self, item: ClaimedNotification, judgement: Judgement) -> None:
        """Write the outcome down, however long the database is away: a sent message must not be sent again."""
        told = Told(
            item, judgement.verdict, judgement.state, judgement.message_id, judgement.uncertain, self._clock.now()
        )
        while True:
            try:
                await self._records.submit(Record(told, judgement))
            except ClaimLost:
                log.warning("notification.claim_lost", notification=item.claim.id)
                return
            except DatabaseUnavailable:
                await self._sleep(RECORD_PAUSE)
            else:
                break
        self._report(told)

    def _report(self, told: Told) -> None:
        item = told.claimed
        ids = {
            "notification": item.claim.id,
            "request_id": item.notification.request_id,
            "avatar": item.notification.avatar_id,
            "kind": item.notification.kind,
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
                log.warning("notification.postponed", **ids, attempt=item.claim.attempt, next_at=at.isoformat())
            case Bury():
                log.error("notification.buried", **ids)
