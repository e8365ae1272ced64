"""The flows on both databases, with the network faked and the clock frozen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest
from sqlalchemy import select

from app.db import inbox
from app.db.engine import Database
from app.db.group_commit import GroupCommit
from app.db.outbox import Told
from app.db.tables import deliveries, notifications
from app.db.trainings import BotTables
from app.fal.authenticate import Authenticator
from app.fal.endpoints import TrainerEndpoints
from app.flows.apply import Apply
from app.flows.kinds import Kind, training
from app.flows.notify.claiming import Notify
from app.flows.notify.recording import write_records
from app.flows.planning import RetryLimits
from app.flows.tell import Tell
from tests.factories import INVENTED, delivery
from tests.fakes import FakeFalQueue, FakeMessenger, FrozenClock, moving_sleep, no_jitter
from tests.flows.under_way import ended

# Of a long way whose statements shorter tests run on both databases.
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ENDPOINTS = TrainerEndpoints("fal-ai/flux-lora-portrait-trainer", "fal-ai/flux-lora-fast-training")


@dataclass
class House:
    """Apply and Notify on one database."""

    database: Database
    clock: FrozenClock
    apply: Apply
    notify: Notify
    records: GroupCommit[Told, None]
    fal: FakeFalQueue
    messenger: FakeMessenger
    woken: list[str] = field(default_factory=list)

    async def deliver(self, request_id: str, body: bytes | None = None) -> None:
        with self.database.engine.begin() as transaction:
            inbox.put(transaction, [(delivery(request_id, body, self.clock.at), self.clock.at)])

    async def tell(self) -> int:
        """Claim what is due, tell it, and record what became of it."""
        claimed = await self.notify()
        await ended(self.notify)
        return claimed

    async def rows(self) -> list[dict[str, Any]]:
        with self.database.engine.connect() as connection:
            return [dict(row) for row in (connection.execute(select(deliveries).order_by("id"))).mappings()]

    async def messages(self) -> list[dict[str, Any]]:
        with self.database.engine.connect() as connection:
            return [dict(row) for row in (connection.execute(select(notifications).order_by("id"))).mappings()]


def kinds_of(bot_tables: BotTables, *, tells_found: bool = False) -> tuple[Kind, ...]:
    """The kinds as `apply` knows them: it asks nobody whether a stored delivery is genuine."""
    described = training(cast("Authenticator", None), bot_tables, ENDPOINTS, invented=INVENTED, tells_found=tells_found)
    return (described,)


@asynccontextmanager
async def open_house(
    database: Database, bot_tables: BotTables, clock: FrozenClock, kinds: tuple[Kind, ...] | None = None
) -> AsyncIterator[House]:
    """Assemble the flows on one database; `kinds` are the trainings unless others are given."""
    fal, messenger = FakeFalQueue(), FakeMessenger()
    woken: list[str] = []
    lease = timedelta(seconds=60)
    apply = Apply(
        database,
        kinds_of(bot_tables) if kinds is None else kinds,
        fal,
        clock,
        RetryLimits(3, timedelta(hours=24), lease),
        chance=no_jitter,
        wake_notify=partial(woken.append, "notify"),
    )
    records = GroupCommit(database, partial(write_records, bot_tables))
    notify = Notify(
        database,
        records,
        Tell(messenger, messenger.word, clock),
        clock,
        lease=lease,
        limit=3,
        rate=25,
        chance=no_jitter,
        sleep=moving_sleep(clock),
    )
    writer = asyncio.create_task(records.run())
    yield House(database, clock, apply, notify, records, fal, messenger, woken)
    await notify.close(1)
    records.close()
    await writer


@pytest.fixture
async def house(database: Database, bot_tables: BotTables, clock: FrozenClock) -> AsyncIterator[House]:
    async with open_house(database, bot_tables, clock) as house:
        yield house
