"""What an owner reads while a training is under way, on both databases, with fal and Telegram faked."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from app.db import jobs, pacing
from app.db.engine import Connection, Database
from app.db.jobs import Ended, Expected, Looked
from app.db.tables import alerts, notifications
from app.db.tables import jobs as table
from app.db.trainings import BotTables
from app.domain.alert import Condition
from app.domain.job import JobKind, JobOutcome, JobState
from app.domain.look import Trouble, Unsaid
from app.domain.message import Message
from app.domain.notification import OPERATOR
from app.domain.progress import ProgressLine, ProgressMessage, ProgressMode, ProgressState
from app.domain.send_outcome import Down, NotEditable, SendOutcome, Sent, SlowDown, Uncertain, Unreachable
from app.fal.payload import FalAnswer
from app.flows.progress import Progress
from app.flows.reconcile import Reconcile
from tests.factories import Bot
from tests.fakes import FrozenClock
from tests.flows.asking import reconcile_of
from tests.flows.conftest import on_sqlite
from tests.flows.under_way import ended

pytestmark = pytest.mark.anyio

PORTRAIT = "fal-ai/flux-lora-portrait-trainer"
EVERY = 60.0
QUEUED = FalAnswer(202, {}, b'{"status":"IN_QUEUE","queue_position":7}')
AT_WORK = FalAnswer(202, {}, b'{"status":"IN_PROGRESS"}')
LOCKED = Unsaid(Trouble.ACCOUNT_LOCKED, "exhausted balance")


@dataclass
class Fal:
    """Says one thing of every job."""

    says: FalAnswer | Unsaid = AT_WORK
    lines: list[str] = field(default_factory=list)

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        return self.says

    async def logs(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        body = {"status": "IN_PROGRESS", "logs": [{"message": line} for line in self.lines]}
        return FalAnswer(202, {}, json.dumps(body).encode())

    async def result(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        raise NotImplementedError

    async def listed(self, endpoint: str, request_id: str) -> FalAnswer | Unsaid:
        raise NotImplementedError


@dataclass
class Chats:
    """Keeps what stands in each chat; answers with the outcomes it was given, then takes everything."""

    outcomes: list[SendOutcome] = field(default_factory=list)
    messages: dict[int, str] = field(default_factory=dict)
    edits: int = 0
    silent: list[bool] = field(default_factory=list)

    async def send(self, chat_id: int, message: Message) -> SendOutcome:
        self.silent.append(message.is_silent)
        if self.outcomes:
            return self.outcomes.pop(0)
        number = len(self.messages) + 1
        self.messages[number] = message.plain
        return Sent(number, chat_id)

    async def edit(self, chat_id: int, message_id: int, message: Message) -> SendOutcome:
        self.edits += 1
        if self.outcomes:
            return self.outcomes.pop(0)
        self.messages[message_id] = message.plain
        return Sent(message_id, chat_id)


def spell(message: ProgressMessage) -> Message:
    percent = "" if message.line.percent is None else f" {message.line.percent}"
    return Message("", f"{message.line.kind}{percent}", is_silent=True)


@dataclass
class Desk:
    """Reconcile and Progress on one database."""

    database: Database
    bot: Bot
    clock: FrozenClock
    fal: Fal
    chats: Chats
    reconcile: Reconcile
    progress: Progress

    async def train(self, request_id: str, **more: Any) -> str:
        avatar = await self.bot.train(request_id, **more)
        found = [Expected(request_id, avatar, PORTRAIT, is_historic=False)]
        await self.database.write(jobs.expect, found, now=self.clock.at, due_at=self.clock.at)
        return avatar

    async def look(self, minutes: float = 1.0, *, times: int = 1) -> None:
        for _ in range(times):
            self.clock.move(60 * minutes)
            await self.reconcile()
            await ended(self.progress)

    async def tell(self, avatar: str, request_id: str, *, state: str = "sent", topic: str = "ready") -> None:
        """Put a message about a result into the outbox as it stands there when it is due, or was sent."""
        now = self.clock.at
        row = {"state": state, "due_at": now, "delivery_id": 1, "avatar_id": avatar, "request_id": request_id,
               "kind": topic, "avatar_name": "Айша", "owner_id": OPERATOR, "chat_id": 5, "language": "ru",
               "received_at": now, "stored_at": now, "applied_at": now,
               "finished_at": now if state == "sent" else None}  # fmt: skip
        await self.database.write(lambda connection: connection.execute(insert(notifications), [row]))

    async def end(self, avatar: str, request_id: str) -> None:
        ended = Ended(request_id, JobKind.TRAINING, avatar, PORTRAIT, JobState.DONE, "applied", 1, changes=True,
                      outcome=JobOutcome.COMPLETED)  # fmt: skip
        await self.database.write(jobs.end, [ended], self.clock.at)

    async def job(self, request_id: str) -> dict[str, Any]:
        def load(connection: Connection) -> dict[str, Any]:
            row = connection.execute(select(table).where(table.c.request_id == request_id)).mappings().one()
            return {str(name): value for name, value in row.items()}

        return await self.database.read(load)


def make_progress(desk_parts: tuple[Database, BotTables, Fal, Chats, FrozenClock], mode: ProgressMode) -> Progress:
    database, bot_tables, fal, chats, clock = desk_parts
    return Progress(
        database,
        bot_tables,
        fal,
        messenger=chats,
        word=spell,
        clock=clock,
        mode=mode,
        rate=25.0,
        trainer_of=lambda _: None,
    )


@pytest.fixture
def mode() -> ProgressMode:
    return ProgressMode.ON


@pytest.fixture
def desk(database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock, mode: ProgressMode) -> Desk:
    fal, chats = Fal(), Chats()
    progress = make_progress((database, bot_tables, fal, chats, clock), mode)
    reconcile = reconcile_of(database, bot_tables, fal, clock, on_looked=progress.consider)
    return Desk(database, bot, clock, fal, chats, reconcile, progress)


async def test_one_silent_message_is_edited_in_place(desk: Desk) -> None:
    """Queue, work, ready: one message without a sound, whose last line follows the result."""
    avatar = await desk.train("r1")
    desk.fal.says = QUEUED
    await desk.look()
    assert desk.chats.messages == {1: ProgressLine.QUEUED}
    desk.fal.says = AT_WORK
    await desk.look(times=4)
    assert desk.chats.messages == {1: ProgressLine.AT_WORK}
    assert desk.progress.measures.sends == {("progress", "sent"): 2}
    await desk.end(avatar, "r1")
    await desk.progress()
    assert desk.chats.messages == {1: ProgressLine.AT_WORK}, "the result was not told yet"
    await desk.tell(avatar, "r1")
    desk.clock.move(180)
    assert await desk.progress() == 1
    assert desk.chats.messages == {1: ProgressLine.READY}
    assert await desk.progress() == 0
    assert (desk.chats.silent, desk.chats.edits) == ([True], 2)


@on_sqlite
async def test_a_training_of_three_hours_has_eight_edits_at_most(desk: Desk) -> None:
    """However long it takes, Telegram is asked for one message and eight edits, three minutes apart."""
    avatar = await desk.train("r1")
    for hour in range(24):
        desk.fal.says = QUEUED if hour % 2 else AT_WORK
        await desk.look(times=60)
    await desk.end(avatar, "r1")
    await desk.tell(avatar, "r1")
    desk.clock.move(180)
    await desk.progress()
    assert desk.chats.messages == {1: ProgressLine.READY}
    assert desk.chats.edits == 8


async def test_a_result_never_waits_behind_progress(desk: Desk) -> None:
    """While a message about a result is due, progress takes no slot."""
    await desk.train("r1")
    await desk.tell("a2", "r2", state="pending")
    await desk.look(times=5)
    assert desk.chats.messages == {}


@pytest.mark.parametrize(
    ("outcome", "end"),
    [
        (SlowDown(30), "slowed"),
        (Unreachable("blocked", blocked=True), "refused"),
        (NotEditable("gone"), "not_editable"),
    ],
)
async def test_what_telegram_refuses_ends_progress_in_that_chat(desk: Desk, outcome: SendOutcome, end: str) -> None:
    """After a 429, a 403 or a message that cannot be edited no training of that chat shows progress; others do."""
    await desk.train("r1")
    await desk.look(times=2)
    desk.fal.says = QUEUED
    desk.chats.outcomes = [outcome]
    await desk.look(times=4)
    assert (await desk.job("r1"))["progress_end"] == end
    await desk.train("r2")
    await desk.train("r3")
    same = "UPDATE avatars SET user_id = (SELECT user_id FROM avatars WHERE fal_request_id = 'r1') "
    await desk.database.write(lambda connection: connection.execute(text(f"{same} WHERE fal_request_id = 'r2'")))
    await desk.look(times=4)
    assert desk.chats.edits == 1
    assert [(await desk.job(name))["progress_message_id"] for name in ("r1", "r2", "r3")] == [1, None, 2]


async def test_a_chat_that_is_slowed_down_rests_from_results_too(desk: Desk) -> None:
    """A 429 for a line of progress puts off what the same chat is owed until Telegram's time is over."""
    desk.chats.outcomes = [SlowDown(600)]
    await desk.train("r1")
    await desk.look(times=2)
    chat, now = (await desk.job("r1"))["progress_chat_id"], desk.clock.now()
    granted, put_back = await desk.database.write(
        pacing.take_slots, [chat], now=now, horizon=timedelta(seconds=2), rate=25.0
    )
    assert granted == {}
    assert put_back[0] > now + timedelta(seconds=300)


async def test_a_first_message_of_unknown_outcome_is_not_sent_again(desk: Desk) -> None:
    """Telegram has no idempotency key: without an answer there is no progress; what never left is tried again."""
    desk.chats.outcomes = [Uncertain("no answer")]
    await desk.train("r1")
    await desk.look(times=6)
    assert desk.chats.messages == {}
    desk.chats.outcomes = [Down("not reached")]
    await desk.train("r2")
    await desk.look(times=6)
    assert desk.chats.messages == {1: ProgressLine.AT_WORK}


async def test_percent_comes_from_the_trainers_lines_and_never_falls(desk: Desk) -> None:
    """A bar over the trainer's own steps is shown; a silent window keeps what was seen."""
    await desk.train("r1")
    await desk.look(times=2)
    desk.fal.lines = ["40%| 1000/2500 [01:00"]
    await desk.look(times=3)
    assert desk.chats.messages == {1: f"{ProgressLine.AT_WORK} 40"}
    desk.fal.lines = ["1%| 25/2500", "100%| 14/14"]
    await desk.look(times=20)
    assert (await desk.job("r1"))["percent"] == 40


@pytest.mark.parametrize("mode", [ProgressMode.LATE])
async def test_trouble_is_ours_once_the_operator_was_told(desk: Desk) -> None:
    """An owner reads that we know about it after the operator's alert was sent, and not before."""
    await desk.train("r1")
    desk.fal.says = LOCKED
    await desk.look(minutes=5, times=3)
    assert desk.chats.messages == {}
    opened = desk.clock.at
    name = Condition.ACCOUNT_LOCKED.value
    row = {"name": name, "machine": "", "level": "critical", "detail": "", "opened_at": opened, "seen_at": opened,
           "changed_at": opened, "told_at": opened}  # fmt: skip
    await desk.database.write(lambda connection: connection.execute(insert(alerts), [row]))
    await desk.tell("20261129T000000000000.critical", name, topic="alert")
    await desk.look(minutes=5, times=2)
    assert desk.chats.messages == {1: ProgressLine.TROUBLE_OURS}


@pytest.mark.parametrize("mode", [ProgressMode.OFF, ProgressMode.LATE])
async def test_a_usual_training_is_left_to_the_bot(desk: Desk) -> None:
    """Unless PROGRESS=on nothing is said of a training that is neither late nor troubled."""
    await desk.train("r1")
    await desk.look(times=50)
    assert desk.chats.messages == {}


async def test_two_replicas_send_one_message(desk: Desk, bot_tables: BotTables) -> None:
    """Whoever marks the job first shows it; the other finds it marked."""
    await desk.train("r1")
    parts = (desk.database, bot_tables, desk.fal, desk.chats, desk.clock)
    others = make_progress(parts, ProgressMode.ON)

    def both(looked: Sequence[Looked]) -> None:
        desk.progress.consider(looked)
        others.consider(looked)

    desk.reconcile.on_looked = both
    await desk.look(times=2)
    await ended(others)
    assert desk.chats.messages == {1: ProgressLine.AT_WORK}


async def test_the_usual_time_is_learnt_from_our_own_past(desk: Desk) -> None:
    """From ten trainings on an endpoint's own times count: half of them took five minutes."""
    for number in range(10):
        avatar = await desk.train(f"p{number}")
        await desk.end(avatar, f"p{number}")
    began = desk.clock.at - timedelta(minutes=5)
    await desk.database.write(lambda connection: connection.execute(update(table).values(at_work_since=began)))
    seen: list[ProgressState] = []
    desk.progress.word = lambda message: seen.append(message.line) or spell(message)  # type: ignore[func-returns-value]
    await desk.train("r1")
    await desk.look(times=2)
    assert [line.usual for line in seen] == [timedelta(minutes=5)]
