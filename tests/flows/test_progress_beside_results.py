"""What progress costs a result where Telegram refuses every edit: nothing."""

from datetime import datetime
from pathlib import Path

import pytest

from app.db import jobs
from app.db.engine import open_database
from app.db.jobs import Expected
from app.db.schema import find_bot_tables
from app.domain.progress import ProgressMode
from app.domain.send_outcome import SendOutcome, SlowDown
from tests.factories import Bot, ok_body
from tests.fakes import FrozenClock
from tests.flows.asking import reconcile_of
from tests.flows.conftest import open_house
from tests.flows.test_progress import AT_WORK, PORTRAIT, QUEUED, Chats, Fal, make_progress
from tests.flows.under_way import ended

pytestmark = pytest.mark.anyio

STEP = 10.0  # s
TRAININGS = 12


class Refusing(Chats):
    """Takes the first message of a chat and answers every edit with 429."""

    async def edit(self, chat_id: int, message_id: int, message: object) -> SendOutcome:
        self.edits += 1
        return SlowDown(30)


def copied(path: Path, template: Path) -> str:
    path.write_bytes(template.read_bytes())
    return f"sqlite:///{path}"


async def told(path: Path, template: Path, mode: ProgressMode) -> tuple[dict[str, datetime], Refusing]:
    """Let trainings be queued, at work and ended by their webhooks; return when each result was told."""
    database, clock, fal, chats = open_database(copied(path, template)), FrozenClock(), Fal(), Refusing()
    bot_tables, bot = await find_bot_tables(database), Bot(database)
    progress = make_progress((database, bot_tables, fal, chats, clock), mode)
    reconcile = reconcile_of(database, bot_tables, fal, clock, on_looked=progress.consider)
    names = [f"r{number}" for number in range(TRAININGS)]
    async with open_house(database, bot_tables, clock) as house:
        await bot.train_many(names)
        found = [Expected(name, "a", PORTRAIT, is_historic=False) for name in names]
        await database.write(jobs.expect, found, now=clock.at, due_at=clock.at)
        fal.says = QUEUED
        for step in range(72):
            clock.move(STEP)
            fal.says = QUEUED if step < 20 else AT_WORK
            if step >= 36 and step % 3 == 0:  # a result each half minute, in the very second of the looks
                name = names[(step - 36) // 3]
                await house.deliver(name, ok_body(name))
            await reconcile()
            await ended(progress)
            await house.apply()
            await house.tell()
            await progress()
        sent = {row["request_id"]: row["finished_at"] for row in await house.messages() if row["state"] == "sent"}
    await progress.close()
    await database.close()
    return sent, chats


async def test_no_result_is_later_than_without_progress(tmp_path: Path, sqlite_template: Path) -> None:
    """With a 429 to every edit each owner hears in the same second; each chat was asked for one edit."""
    with_it, chats = await told(tmp_path / "on.db", sqlite_template, ProgressMode.ON)
    without, quiet = await told(tmp_path / "off.db", sqlite_template, ProgressMode.OFF)
    assert with_it == without
    assert len(without) == TRAININGS
    assert (len(chats.messages), chats.edits) == (TRAININGS, TRAININGS)
    assert (quiet.messages, quiet.edits) == ({}, 0)
