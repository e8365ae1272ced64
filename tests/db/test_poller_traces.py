"""Traces that the bot's own pollers leave in its table."""

import pytest
from sqlalchemy import text

from app.core.config import INVENTED_ARTIFACTS
from app.db import poller_traces
from app.db.engine import Database
from app.db.trainings import BotTables
from app.domain.invented import Invented
from tests.factories import LORA, Bot
from tests.job_facts import add_job

pytestmark = pytest.mark.anyio

INVENTED = Invented.of(INVENTED_ARTIFACTS)


async def give(database: Database, request_id: str, column: str, value: str) -> None:
    with database.engine.begin() as transaction:
        statement = f"UPDATE avatars SET {column} = :value WHERE fal_request_id = :id"
        transaction.execute(text(statement), {"value": value, "id": request_id})


@pytest.mark.parametrize(
    ("column", "value", "counted"),
    [
        ("diffusers_lora_file_url", "https://fallback-lora.com/a.safetensors", 1),
        ("diffusers_lora_file_url", "https://cdn.Emergency-Fallback.com/a.safetensors", 1),
        ("diffusers_lora_file_url", LORA, 0),
        ("diffusers_lora_file_url", "https://v3.fal.media/fallback-lora.com", 0),
        ("finetune_id", "fallback-style-1b2c", 1),
        ("finetune_id", "my-fallback-style-1b2c", 0),
    ],
)
async def test_what_counts_as_invented(
    database: Database, bot: Bot, bot_tables: BotTables, *, column: str, value: str, counted: int
) -> None:
    """Hosts with all below them, and beginnings of finetune ids; a genuine artifact is none, whatever its path."""
    await bot.train("r1")
    await bot.train("r2")
    await give(database, "r1", column, value)
    assert await database.read(poller_traces.find_invented, bot_tables, INVENTED) == ["r1"] * counted
    add_job(database, "r1")
    assert await database.read(poller_traces.count_invented_at_work, bot_tables, INVENTED) == counted


async def test_only_open_jobs_are_looked_at_every_minute(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """A finished job's row is held to its end by other means; one without a job is not ours."""
    for request_id in ("r1", "r2"):
        await bot.train(request_id)
        await give(database, request_id, "finetune_id", "emergency-fallback-1")
    add_job(database, "r1", state="done", outcome="completed")
    assert await database.read(poller_traces.count_invented_at_work, bot_tables, INVENTED) == 0
    assert await database.read(poller_traces.find_invented, bot_tables, INVENTED) == ["r1", "r2"]


@pytest.mark.parametrize(
    ("status", "state", "outcome", "counted"),
    [
        ("training", "done", "completed", 1),
        ("TRAINING", "done", "failed", 1),
        ("completed", "done", "completed", 0),
        ("training", "pending", None, 0),
        ("training", "done", "superseded", 0),
    ],
)
async def test_which_rows_were_set_back(
    database: Database, bot: Bot, bot_tables: BotTables, *, status: str, state: str, outcome: str | None, counted: int
) -> None:
    """At `training`, in either spelling, although the job has ended with something to tell (fault 53)."""
    await bot.train("r1", status=status)
    add_job(database, "r1", state=state, outcome=outcome)
    assert await database.read(poller_traces.find_set_back, bot_tables) == ["r1"] * counted


async def test_without_marks_nothing_is_invented(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """An operator may empty the list."""
    await bot.train("r1")
    await give(database, "r1", "finetune_id", "fallback-style-1")
    assert await database.read(poller_traces.find_invented, bot_tables, Invented()) == []
