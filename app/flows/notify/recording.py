"""Outcome of a send → its row, retried until it is written: a message that was sent must not be sent again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from app.db import outbox, pacing
from app.db.engine import Connection
from app.db.group_commit import GroupCommit
from app.db.outbox import Told
from app.db.set_aside import set_aside
from app.db.trainings import BotTables
from app.domain.delivery import milliseconds
from app.domain.errors import ClaimLost, DatabaseUnavailable
from app.domain.measures import Measures
from app.domain.notification import ClaimedNotification
from app.domain.send_policy import Judgement
from app.domain.verdict import Bury, Done, Retry
from app.flows.measuring import count_told
from app.flows.ports import Clock
from app.flows.steps import UNWATCHED, Watched

log = structlog.get_logger("app.webhook")

RECORD_PAUSE = 0.5  # s between tries to record what Telegram said


def write_records(bot_tables: BotTables, connection: Connection, records: Sequence[Told]) -> list[None]:
    """Write a group of records: the notification, the pauses, and as far as it can be done the owner's `is_blocked`.

    The bot's table may refuse us, or be locked by the bot: that must not cost the record of what was sent.
    """
    outbox.finish(connection, records)
    for record in sorted(records, key=lambda record: not record.judgement.pause_bot):
        judgement = record.judgement
        if judgement.pause_until is not None:
            chat_id = None if judgement.pause_bot else record.claimed.notification.owner.chat_id
            pacing.pause(connection, chat_id, judgement.pause_until, asked=judgement.pause_asked)
    if any(record.judgement.blocked is not None for record in records):
        refused = set_aside(connection, partial(_write_blocked, bot_tables, connection, records))
        if refused is not None:
            log.warning("owner.blocked_not_written", cause=refused)
    return [None] * len(records)


def _write_blocked(bot_tables: BotTables, connection: Connection, records: Sequence[Told]) -> None:
    for blocked in (True, False):
        owners = {record.claimed.notification.owner.id for record in records if record.judgement.blocked is blocked}
        bot_tables.set_blocked(connection, sorted(owners), blocked=blocked)


@dataclass(eq=False, repr=False, slots=True)
class Recorder:
    """Writes outcomes down in the group commit of `records`, and logs each."""

    records: GroupCommit[Told, None]
    clock: Clock
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    steps: Watched = UNWATCHED
    measures: Measures = field(default_factory=Measures)
    _unrecorded: dict[int, Judgement] = field(default_factory=dict, init=False)

    def take_unrecorded(self, item: ClaimedNotification) -> Judgement | None:
        """Return what is known of a row that was sent and could not be written before its lease ended; forget it."""
        return self._unrecorded.pop(item.claim.id, None)

    async def record(self, item: ClaimedNotification, judgement: Judgement, lease_until: datetime) -> None:
        """Write the outcome down, however long the database is away: a sent message must not be sent again.

        What fails otherwise is tried without the owner's `is_blocked`, and until the lease ends. Then this process
        knows what to write when it claims the row again; another one counts a send of unknown outcome.
        """
        told = Told(item, judgement, self.clock.now())
        has_failed = False
        while True:
            try:
                await self.records.submit(told)
            except ClaimLost:
                log.warning("notification.claim_lost", notification=item.claim.id)
                return
            except DatabaseUnavailable as error:
                self.steps.failed("records", error)
                if self.clock.now() >= lease_until:  # also reached where a lock on the owner's row is never released
                    told = _without_blocked(told, error)
            except Exception as error:
                self.steps.failed("records", error)
                if not has_failed:
                    log.exception("notification.not_recorded", notification=item.claim.id)
                if self.clock.now() >= lease_until:
                    self._unrecorded[item.claim.id] = told.judgement
                    return
                has_failed, told = True, _without_blocked(told, error)
            else:
                self.steps.worked("records")
                break
            await self.sleep(RECORD_PAUSE)
        count_told(self.measures, told)
        report(told)


def report(told: Told) -> None:
    """Log what became of a message. A delivery's last line stands here, where its owner was told."""
    item, said = told.claimed, told.judgement
    ids = {
        "notification": item.claim.id,
        "request_id": item.notification.request_id,
        "avatar": item.notification.subject,
        "kind": item.notification.topic,
        "why": said.verdict.why,
    }
    match said.verdict:
        case Done():
            log.info(
                "notification.told",
                **ids,
                state=said.state,
                message_id=said.message_id,
                received_at=item.received_at.isoformat(),
                stored_ms=milliseconds(item.received_at, item.stored_at),
                applied_ms=milliseconds(item.received_at, item.applied_at),
                told_ms=milliseconds(item.received_at, told.finished_at),
            )
        case Retry(at, "more_images"):
            log.info("notification.images_shown", **ids, images=told.images_shown)
        case Retry(at):
            next_at = max(at, told.finished_at).isoformat()
            log.warning("notification.postponed", **ids, attempt=item.claim.attempt, next_at=next_at)
        case Bury():
            log.error("notification.buried", **ids)


def _without_blocked(told: Told, error: Exception) -> Told:
    if told.judgement.blocked is not None:
        log.warning("owner.blocked_not_written", cause=type(error).__name__)
    return replace(told, judgement=replace(told.judgement, blocked=None))
