"""Trainings as an operator sees them, on both databases."""

import pytest

from app.db import jobs
from app.db.engine import Database
from app.db.jobs import Ended, Expected
from app.db.training_list import list_trainings
from app.db.trainings import BotTables
from app.domain.job import JobKind, JobOutcome, JobState
from tests.factories import Bot
from tests.fakes import START

pytestmark = pytest.mark.anyio

PORTRAIT = "fal-ai/flux-lora-portrait-trainer"


async def train(
    database: Database, bot: Bot, request_id: str, outcome: JobOutcome | None, *, has_row: bool = True
) -> str:
    """Make a training under way, or one that a delivery ended."""
    avatar = await bot.train(request_id, name=request_id) if has_row else "gone"
    found = [Expected(request_id, avatar, PORTRAIT, is_historic=False)]
    await database.write(jobs.expect, found, now=START, due_at=START)
    if outcome is not None:
        ended = Ended(request_id, JobKind.TRAINING, avatar, PORTRAIT, JobState.DONE, "applied", 1, changes=True,
                      outcome=outcome)  # fmt: skip
        await database.write(jobs.end, [ended], START)
    return avatar


async def test_trainings_stand_newest_first_beside_the_bots_rows(
    database: Database, bot: Bot, bot_tables: BotTables
) -> None:
    """Each with the avatar's name and status; one that no row carries any more is there as well."""
    await train(database, bot, "r1", JobOutcome.FAILED)
    await train(database, bot, "r2", None, has_row=False)
    rows = await database.read(list_trainings, bot_tables, photos_left=False, limit=10)
    assert [(row["request_id"], row["name"], row["outcome"]) for row in rows] == [
        ("r2", None, None),
        ("r1", "r1", "failed"),
    ]
    assert len(await database.read(list_trainings, bot_tables, photos_left=False, limit=1)) == 1


async def test_photos_are_left_where_we_completed(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """Not of a training under way, not of a failed one, not of a row that the bot has begun anew."""
    await train(database, bot, "done", JobOutcome.COMPLETED)
    await train(database, bot, "failed", JobOutcome.FAILED)
    await train(database, bot, "open", None)
    await train(database, bot, "anew", JobOutcome.COMPLETED, has_row=False)
    rows = await database.read(list_trainings, bot_tables, photos_left=True, limit=10)
    assert [row["request_id"] for row in rows] == ["done"]
