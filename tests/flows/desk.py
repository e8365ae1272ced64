"""A fal that takes submissions, and loses answers as it is told to."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sqlalchemy import select

from app.db import inbox
from app.db.engine import Connection, Database
from app.db.tables import jobs
from app.db.trainings import BotTables
from app.domain.delivery import Delivery
from app.domain.look import Trouble, Unsaid
from app.domain.nonce import nonce_of
from app.domain.submission import ListedRequest, Price
from app.domain.submit_outcome import AnswerLost, Cancelled, CancelOutcome, SubmitOutcome, Submitted
from app.domain.trainer import Trainer
from app.flows.submit import Submit, WantedTraining
from app.flows.sweep import Sweep
from tests.factories import Bot, delivery
from tests.fakes import FrozenClock

PORTRAIT = "fal-ai/flux-lora-portrait-trainer"
STYLE = "fal-ai/flux-lora-fast-training"
WEBHOOK = "https://aibots.kz:8443/api/v1/avatar/status_update"
PHOTOS = "https://photos.example/{}.zip"


@dataclass
class FakeDesk:
    """fal as submissions see it. `answer` makes of what was taken what the client hears; it may raise."""

    clock: FrozenClock
    answer: Callable[[Submitted], SubmitOutcome] = lambda taken: taken
    refuses: SubmitOutcome | None = None
    dollars: Price | None = None
    taken: dict[str, tuple[str, Mapping[str, object], str]] = field(default_factory=dict)
    sent: dict[str, datetime] = field(default_factory=dict)
    unlisted: set[str] = field(default_factory=set)
    unsaid: Unsaid | None = None
    cancelled: list[str] = field(default_factory=list)
    cancels: CancelOutcome = field(default_factory=Cancelled)
    posts: int = 0

    async def submit(self, endpoint: str, arguments: Mapping[str, object], webhook: str) -> SubmitOutcome:
        self.posts += 1
        if self.refuses is not None:
            return self.refuses
        request_id = str(uuid.UUID(int=0xABC000 + self.posts))
        self.taken[request_id] = (endpoint, arguments, webhook)
        self.sent[request_id] = self.clock.now()
        return self.answer(Submitted(request_id))

    async def cancel(self, endpoint: str, request_id: str, url: str | None) -> CancelOutcome:
        self.cancelled.append(request_id)
        return self.cancels

    async def price(self, endpoint: str) -> Price | None:
        return self.dollars

    async def recent(self, endpoint: str, since: datetime) -> list[ListedRequest] | Unsaid:
        if self.unsaid is not None:
            return self.unsaid
        return [
            ListedRequest(
                request_id, self.sent[request_id], tuple(text for text in given.values() if isinstance(text, str))
            )
            for request_id, (at, given, _) in self.taken.items()
            if at == endpoint and self.sent[request_id] >= since and request_id not in self.unlisted
        ]

    def webhook(self, request_id: str, body: bytes | None = None) -> Delivery:
        """The delivery that fal makes of a request, at the address that it was given."""
        query = urlsplit(self.taken[request_id][2]).query
        assert parse_qs(query)["job"]
        return delivery(request_id, body, self.clock.now())._replace(nonce=nonce_of(query.encode()))


@dataclass
class Counter:
    """Submit and Sweep on one database."""

    database: Database
    bot: Bot
    clock: FrozenClock
    fal: FakeDesk
    submit: Submit
    sweep: Sweep

    async def avatar(self, trainer: str = "portrait", status: str = "ready_for_training") -> str:
        return await self.bot.train("", status=status, trainer=trainer)

    async def avatar_ids(self) -> list[str]:
        def load(connection: Connection) -> list[str]:
            return [str(row[0]) for row in connection.exec_driver_sql("SELECT id FROM avatars ORDER BY id")]

        return await self.database.read(load)

    async def begin(self, avatar_id: str, key: str = "k1", **more: Any) -> str:
        url = more.pop("photos_url", PHOTOS.format(avatar_id))
        return await self.submit(WantedTraining(avatar_id, url, more.pop("trainer", Trainer.PORTRAIT), key, **more))

    async def jobs(self) -> list[dict[str, Any]]:
        def load(connection: Connection) -> list[dict[str, Any]]:
            rows = connection.execute(select(jobs).order_by(jobs.c.id)).mappings()
            return [{str(name): value for name, value in row.items()} for row in rows]

        return await self.database.read(load)

    async def deliver(self, given: Delivery) -> None:
        await self.database.write(inbox.put, [(given, self.clock.now())])

    async def look(self, seconds: float) -> int:
        self.clock.move(seconds)
        return await self.sweep()


def open_counter(database: Database, tables: BotTables, bot: Bot, clock: FrozenClock) -> Counter:
    fal = FakeDesk(clock)
    numbers = iter(range(1, 10**6))
    submit = Submit(
        database,
        tables,
        fal,
        clock,
        endpoint_of=lambda trainer: STYLE if trainer is Trainer.STYLE else PORTRAIT,
        webhook=WEBHOOK,
        nonce=lambda: f"{next(numbers):032x}",
        most=10.0,
        after=timedelta(seconds=120),
    )
    sweep = Sweep(database, tables, fal, clock, lease=timedelta(seconds=60), after=timedelta(seconds=120))
    return Counter(database, bot, clock, fal, submit, sweep)


def lose(_: Submitted) -> SubmitOutcome:
    return AnswerLost("no answer in time")


DOWN = Unsaid(Trouble.FAL_DOWN, "no answer")
