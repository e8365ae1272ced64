"""What fal says of a training under way → one silent message to its owner, edited in place.

The message is marked as being sent before it is sent: a crash in between leaves one message more, which is not edited.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog

from app.db import pacing, progress, promises
from app.db.engine import Connection, Database
from app.db.jobs import Looked
from app.db.progress import Closing
from app.db.trainings import BotTables
from app.domain.alert import Condition
from app.domain.job import JobKind, JobState, Stage
from app.domain.look import OpenJob, Trouble, Wait
from app.domain.measures import Measures
from app.domain.message import Message
from app.domain.progress import (
    APART,
    MOST_EDITS,
    ProgressEnd,
    ProgressLine,
    ProgressMessage,
    ProgressMode,
    ProgressState,
    Shown,
    Standing,
    Usual,
    ends_at,
    last_line,
    next_line,
    usual,
)
from app.domain.promise import TOLD_BY
from app.domain.send_outcome import Down, NotEditable, Rejected, SendOutcome, Sent, SlowDown, TokenRefused, Unreachable
from app.domain.trainer import Trainer
from app.domain.training import Training
from app.fal.queue_answers import read_logs, read_percent
from app.flows.measuring import PROGRESS, count_sent
from app.flows.ports import Clock, FalQueue, Messenger

log = structlog.get_logger("app.webhook")

EVERY = timedelta(seconds=30)  # between two looks for messages that want their last line
CLOSED_AT_ONCE = 20
DEFAULT_STEPS = {"fal-ai/flux-lora-portrait-trainer": 2500, "fal-ai/flux-lora-fast-training": 1000}  # docs/fal.md
LEARNT_FOR = timedelta(hours=1)
OURS: Mapping[str, Condition] = {  # what makes a training late on our side, and the alert that tells the operator
    **TOLD_BY,
    Trouble.ACCOUNT_LOCKED: Condition.ACCOUNT_LOCKED,
}


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is to say something else from now on."""

    job: OpenJob
    standing: Standing
    line: ProgressState
    percent: int | None


@dataclass(eq=False, repr=False, slots=True)
class Progress:
    """Shows owners how their trainings stand. `word` words one state; `trainer_of` tells what an endpoint trains."""

    database: Database
    subjects: BotTables
    fal: FalQueue
    _: KW_ONLY
    messenger: Messenger
    word: Callable[[ProgressMessage], Message]
    clock: Clock
    mode: ProgressMode
    rate: float
    trainer_of: Callable[[str], Trainer | None]
    measures: Measures = field(default_factory=Measures)
    _usual: dict[str, tuple[datetime, Usual]] = field(default_factory=dict, init=False)
    _showing: asyncio.Task[None] | None = field(default=None, init=False)

    def consider(self, looked: Sequence[Looked]) -> None:
        """Show what has changed, beside the caller; while that is under way, later looks are passed over."""
        if self.mode is ProgressMode.OFF or (self._showing is not None and not self._showing.done()):
            return
        shown = [one for one in looked if _may_show(one)]
        if shown:
            self._showing = asyncio.create_task(self._show_all(shown), name="progress")

    async def close(self) -> None:
        """Stop showing."""
        if self._showing is not None:
            self._showing.cancel()
            await asyncio.wait([self._showing])

    async def __call__(self) -> int:
        """Give their last line to messages whose result was told; return how many. Raises DatabaseUnavailable."""
        if self.mode is ProgressMode.OFF:
            return 0
        now = self.clock.now()
        closings = await self.database.read(progress.to_close, now=now, limit=CLOSED_AT_ONCE)
        if not closings:
            return 0
        granted = await self.database.write(
            progress.reserve,
            {closing.job_id: closing.shown.chat_id for closing in closings},
            now=now,
            rate=self.rate,
        )
        closing = [one for one in closings if one.job_id in granted]
        await asyncio.gather(*(self._close_one(one) for one in closing))
        return len(closing)

    async def _show_all(self, looked: Sequence[Looked]) -> None:
        try:
            due = [one for one in [await self._due(each) for each in looked] if one is not None]
            if due:
                await self._show(due)
        except Exception:  # progress is a courtesy: no trouble with it may reach a result
            log.exception("progress.failed")

    async def _due(self, looked: Looked) -> Due | None:
        now, job, step = self.clock.now(), looked.job, looked.step
        assert isinstance(step, Wait), "see _may_show"
        stage = step.stage or job.stage
        began = job.at_work_since or (now if stage is Stage.AT_WORK else None)
        percent = await self._percent(job, stage, now)
        ours = OURS.get(step.reason or "")
        standing = Standing(stage, job.first_seen_at, began, percent, is_troubled=ours is not None)
        line = next_line(standing, job.shown, await self._usual_of(job), self.mode, now)
        if line is None:
            return None
        if ours is not None and ours not in await self.database.read(promises.told_alerts):
            return None  # "we know about it" is not said before somebody does
        return Due(job, standing, line, percent)

    async def _percent(self, job: OpenJob, stage: Stage | None, now: datetime) -> int | None:
        """Read how far a job is, where an edit could show it; it never falls."""
        may_edit = job.shown is not None and now - job.shown.at >= APART and job.shown.edits < MOST_EDITS - 1
        steps = job.steps or DEFAULT_STEPS.get(job.endpoint or "")
        if self.mode is not ProgressMode.ON or stage is not Stage.AT_WORK or not may_edit or steps is None:
            return job.percent
        answered = await self.fal.logs(job.endpoint or "", job.request_id, job.status_url)
        found = read_percent(read_logs(answered), steps)
        return max((one for one in (found, job.percent) if one is not None), default=None)

    async def _usual_of(self, job: OpenJob) -> Usual:
        """Tell how long such trainings take; learnt anew every hour."""
        key, now = job.endpoint or "", self.clock.now()
        known = self._usual.get(key)
        if known is None or not timedelta() <= now - known[0] < LEARNT_FOR:
            past = await self.database.read(progress.times_at_work, key)
            known = self._usual[key] = (now, usual(past, self.trainer_of(key)))
        return known[1]

    async def _show(self, due: Sequence[Due]) -> None:
        trainings = await self.database.read(self.subjects.read, [one.job.request_id for one in due])
        owned = {training.request_id: training for training in trainings if training.owner.chat_id is not None}
        ready = [one for one in due if one.job.request_id in owned]
        if not ready:
            return
        granted = await self.database.write(self._reserve, ready, owned, self.clock.now())
        for one in ready:
            if one.job.claim.id in granted:
                await self._show_one(one, owned[one.job.request_id])

    def _reserve(
        self, connection: Connection, due: Sequence[Due], owned: dict[str, Training], now: datetime
    ) -> frozenset[int]:
        wanted = {one.job.claim.id: _chat(one, owned[one.job.request_id]) for one in due}
        return progress.reserve(connection, wanted, now=now, rate=self.rate)

    async def _show_one(self, due: Due, training: Training) -> None:
        message = self.word(ProgressMessage(training.name, training.owner, due.line))
        chat_id, shown = _chat(due, training), due.job.shown
        if shown is None:
            outcome = await self.messenger.send(chat_id, message)
        else:
            outcome = await self.messenger.edit(chat_id, shown.message_id, message)
        count_sent(self.measures, PROGRESS, outcome)
        now = self.clock.now()
        columns = _columns(outcome, due.line.kind, shown, chat_id)
        if "progress_line" in columns:
            columns |= {"progress_ends_at": ends_at(due.standing, due.line, now), "percent": due.percent}
        await self.database.write(_record, due.job.claim.id, columns, _rest(outcome, chat_id, now))
        _report(due.job.request_id, due.line.kind, outcome)

    async def _close_one(self, closing: Closing) -> None:
        line = last_line(closing.shown, self.clock.now(), is_ready=closing.is_ready)
        if line is None:
            return
        message = self.word(ProgressMessage(closing.name, closing.owner, line))
        chat_id = closing.shown.chat_id
        outcome = await self.messenger.edit(chat_id, closing.shown.message_id, message)
        count_sent(self.measures, PROGRESS, outcome)
        columns = _columns(outcome, line.kind, closing.shown, chat_id)
        if isinstance(outcome, Sent):
            columns["progress_end"] = ProgressEnd.CLOSED
        rest = _rest(outcome, chat_id, self.clock.now())
        await self.database.write(_record, closing.job_id, columns, rest)


def _rest(outcome: SendOutcome, chat_id: int, now: datetime) -> tuple[int, datetime] | None:
    """Tell which chat Telegram asked to let rest, and until when: what its owner is owed waits as well."""
    return (chat_id, now + timedelta(seconds=outcome.seconds)) if isinstance(outcome, SlowDown) else None


def _record(connection: Connection, job_id: int, columns: dict[str, Any], rest: tuple[int, datetime] | None) -> None:
    progress.record(connection, job_id, columns)
    if rest is not None:
        pacing.pause(connection, *rest, asked=True)


def _may_show(looked: Looked) -> bool:
    job, step = looked.job, looked.step
    return (
        isinstance(step, Wait)
        and job.kind is JobKind.TRAINING
        and job.state is JobState.PENDING
        and job.progress_end is None
        and (job.shown is not None or job.progress_at is None)  # a send of unknown outcome is not repeated
    )


def _chat(due: Due, training: Training) -> int:
    assert training.owner.chat_id is not None, "left out above"
    return training.owner.chat_id if due.job.shown is None else due.job.shown.chat_id


def _columns(outcome: SendOutcome, line: ProgressLine, shown: Shown | None, chat_id: int) -> dict[str, Any]:
    """Spell what became of one try. What Telegram did not take for want of an answer stands as it stood."""
    match outcome:
        case Sent():
            return {
                "progress_chat_id": outcome.chat_id,
                "progress_message_id": outcome.message_id,
                "progress_line": line,
                "progress_edits": 0 if shown is None else shown.edits + 1,
            }
        case SlowDown():
            return {"progress_chat_id": chat_id, "progress_end": ProgressEnd.SLOWED}
        case Unreachable():
            return {"progress_chat_id": chat_id, "progress_end": ProgressEnd.REFUSED}
        case NotEditable() | Rejected():
            return {"progress_chat_id": chat_id, "progress_end": ProgressEnd.NOT_EDITABLE}
        case TokenRefused() | Down() if shown is None:
            return {"progress_at": None}  # nothing left: the next look tries again
        case _:
            return {"progress_edits": 0 if shown is None else shown.edits + 1}


def _report(request_id: str, line: ProgressLine, outcome: SendOutcome) -> None:
    if isinstance(outcome, Sent):
        log.info("progress.shown", request_id=request_id, line=line.value, message_id=outcome.message_id)
    else:
        log.warning("progress.not_shown", request_id=request_id, line=line.value, why=type(outcome).__name__)
