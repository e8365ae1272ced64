"""What the doctor finds of the bot's own pollers."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.config import INVENTED_ARTIFACTS
from app.db.engine import Database, open_database
from app.db.trainings import BotTables
from app.doctor.database import check_database
from app.doctor.finding import Finding
from app.doctor.pollers import look_for_pollers
from app.domain.invented import Invented
from app.domain.language import Language
from tests.factories import Bot
from tests.fakes import START
from tests.job_facts import add_job

pytestmark = pytest.mark.anyio

INVENTED = Invented.of(INVENTED_ARTIFACTS)


async def look(database: Database, bot_tables: BotTables, language: Language = "en") -> dict[str, Finding]:
    found = await look_for_pollers(database, bot_tables, INVENTED, START, language)
    return {one.code: one for one in found}


def run(database: Database, statement: str) -> None:
    with database.engine.begin() as transaction:
        transaction.execute(text(statement))


async def test_a_bot_without_pollers_leaves_nothing(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """Trainings at work, finished, and none of them spoilt: no finding."""
    await bot.train("r1")
    await bot.train("r2", status="completed")
    add_job(database, "r1")
    add_job(database, "r2", state="done", outcome="completed")
    assert await look(database, bot_tables) == {}


async def test_invented_artifacts_are_counted(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """How many, and the story of the first of them as the next command (fault 54)."""
    for request_id in ("r1", "r2"):
        await bot.train(request_id, status="completed")
    run(database, "UPDATE avatars SET diffusers_lora_file_url = 'https://fallback-lora.com/x.safetensors'")
    found = (await look(database, bot_tables))["poller.invented"]
    assert found.text.endswith("nobody made: 2")
    assert found.command == "aisha-webhook why r1"
    assert "status_checker" in found.remedy


async def test_rows_without_a_request_id_are_told_apart(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """There is no story of a row that carries no id."""
    await bot.train("r1", status="completed")
    run(database, "UPDATE avatars SET finetune_id = 'fallback-style-9', fal_request_id = NULL")
    assert list(await look(database, bot_tables)) == ["poller.invented_elsewhere"]


async def test_finished_rows_at_training_are_counted(database: Database, bot: Bot, bot_tables: BotTables) -> None:
    """The bot wrote `training` after the end: told with an example (fault 53)."""
    await bot.train("r1")
    add_job(database, "r1", state="done", outcome="completed")
    found = await look(database, bot_tables)
    assert list(found) == ["poller.set_back"]
    assert found["poller.set_back"].command == "aisha-webhook why r1"


@pytest.mark.parametrize(("hours", "codes"), [(1, ["poller.drifted"]), (25, [])])
async def test_what_was_put_right_today_is_told(
    database: Database, bot_tables: BotTables, hours: int, codes: list[str]
) -> None:
    """A row that the server has put right leaves no other trace than the count of the last day."""
    drifted_at = START - timedelta(hours=hours)
    add_job(database, "r1", state="done", outcome="completed", drifts=1, drifted_at=drifted_at)
    assert list(await look(database, bot_tables)) == codes


async def test_the_database_s_look_asks_for_them(database_url: str, database: Database, bot: Bot) -> None:
    """The finding stands among those of the database, in the operator's language."""
    await bot.train("r1")
    add_job(database, "r1", state="done", outcome="failed")
    found = await check_database(lambda: open_database(database_url), None, "ru", invented=INVENTED, now=START)
    assert [one.code for one in found] == ["database.ok", "poller.set_back"]
    assert found[1].text.startswith("бот сам опрашивает fal")


async def test_without_a_file_nothing_is_looked_for(tmp_path: Path) -> None:
    """No database yet: no trace of anybody."""
    file = tmp_path / "none.db"
    found = await check_database(lambda: open_database(f"sqlite:///{file}"), file, "en", invented=INVENTED, now=START)
    assert [one.code for one in found] == ["database.absent"]
    assert not file.exists()
