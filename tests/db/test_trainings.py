"""The bot's tables in each spelling that a revision of the bot may use."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from app.db.engine import Database, open_database
from app.db.migrate import migrate
from app.db.schema import find_bot_tables
from app.db.trainings import BotTables
from app.domain.errors import ClaimLost, DatabaseUnfit
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, Change, TrainingStatus
from tests.factories import CONFIG, LORA, Bot
from tests.fakes import START
from tests.postgres import with_database
from tests.spellings import SPELLINGS, kept_database

pytestmark = pytest.mark.anyio

SUCCESS = Change(TrainingStatus.COMPLETED, START, artifacts=Artifacts(lora_url=LORA, config_url=CONFIG))
FAILURE = Change(TrainingStatus.ERROR, START + timedelta(seconds=1), error="face not found")


@pytest.fixture(params=list(SPELLINGS))
def spelling(request: pytest.FixtureRequest) -> str:
    spelling: str = request.param
    return spelling


@pytest.fixture
def fresh_url(postgres: str) -> Iterator[str]:
    name = "spelled"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    yield with_database(postgres, name)
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def spelled(postgres: str, spelling: str) -> Database:
    return kept_database(postgres, SPELLINGS[spelling][0])


async def test_words_are_written_as_the_row_spells_them(spelled: Database, spelling: str) -> None:
    """TRAINING becomes COMPLETED, training becomes completed; native enums are cast."""
    word = SPELLINGS[spelling][1]
    bot, tables = Bot(spelled), await find_bot_tables(spelled)
    avatar_id = await bot.train("r1", status=word("training"), trainer=word("style"))
    with spelled.engine.begin() as transaction:
        [training] = (tables.lock(transaction, ["r1"])).trainings["r1"]
        tables.change(transaction, [(training, SUCCESS, '{"status": "OK"}')])
    assert (training.status, training.trainer) == (TrainingStatus.TRAINING, Trainer.STYLE)
    row = await bot.avatar(avatar_id)
    assert row["word"] == word("completed")
    assert row["fal_response_data"] == {"status": "OK"}


async def test_a_success_fills_the_row(database: Database, bot_tables: BotTables, bot: Bot) -> None:
    """LoRA, config, progress and time are set, an earlier error is taken back."""
    avatar_id = await bot.train("r1", status="error")
    with database.engine.begin() as transaction:
        [training] = (bot_tables.lock(transaction, ["r1"])).trainings["r1"]
        bot_tables.change(transaction, [(training, SUCCESS, "{}")])
    row = await bot.avatar(avatar_id)
    assert (row["word"], row["diffusers_lora_file_url"], row["config_file_url"]) == ("completed", LORA, CONFIG)
    assert (row["finetune_id"], row["training_progress"], row["training_error"]) == (None, 100, None)
    assert row["training_completed_at"] is not None


async def test_a_failure_leaves_artifacts_alone(database: Database, bot_tables: BotTables, bot: Bot) -> None:
    """A failed training does not take away what an earlier one made."""
    avatar_id = await bot.train("r1")
    with database.engine.begin() as transaction:
        [training] = (bot_tables.lock(transaction, ["r1"])).trainings["r1"]
        bot_tables.change(transaction, [(training, SUCCESS, "{}")])
        [completed] = (bot_tables.lock(transaction, ["r1"])).trainings["r1"]
        bot_tables.change(transaction, [(completed, FAILURE, "{}")])
    row = await bot.avatar(avatar_id)
    assert (row["word"], row["training_error"], row["diffusers_lora_file_url"]) == ("error", "face not found", LORA)


async def test_a_plan_made_for_another_status_is_lost(database: Database, bot_tables: BotTables, bot: Bot) -> None:
    """Compare-and-set: what changed since the plan was made is not overwritten, and the commit is undone."""
    avatar_id = await bot.train("r1")
    with database.engine.begin() as transaction:
        [training] = (bot_tables.lock(transaction, ["r1"])).trainings["r1"]
        bot_tables.change(transaction, [(training, SUCCESS, "{}")])
    with pytest.raises(ClaimLost), database.engine.begin() as transaction:
        bot_tables.change(transaction, [(training, FAILURE, "{}")])
    assert (await bot.avatar(avatar_id))["word"] == "completed"


@pytest.mark.parametrize(
    ("raw", "chat_id"),
    [
        ("42", 42),
        ("-100123", -100123),
        (str(2**52), None),
        ("4503599627370495", 4503599627370495),
        ("@aisha", None),
        ("0", None),
        ("٤٢", None),
    ],
)
async def test_a_chat_id_is_a_number_of_52_bits_or_nothing(
    database: Database, bot_tables: BotTables, bot: Bot, raw: str, chat_id: int | None
) -> None:
    """users.telegram_id is text; what is no chat id is not guessed at."""
    await bot.train("r1", telegram_id=raw)
    with database.engine.begin() as transaction:
        [training] = (bot_tables.lock(transaction, ["r1"])).trainings["r1"]
    assert training.owner.chat_id == chat_id


async def test_blocked_is_kept_true_to_reality(database: Database, bot_tables: BotTables, bot: Bot) -> None:
    """is_blocked goes both ways, and only for the owners named."""
    one, two = await bot.train("r1"), await bot.train("r2")
    with database.engine.begin() as transaction:
        [training] = (bot_tables.lock(transaction, ["r1"])).trainings["r1"]
        bot_tables.set_blocked(transaction, [training.owner.id], blocked=True)
    assert ((await bot.avatar(one))["is_blocked"], (await bot.avatar(two))["is_blocked"]) in [(True, False), (1, 0)]
    with database.engine.begin() as transaction:
        bot_tables.set_blocked(transaction, [training.owner.id], blocked=False)
    assert not (await bot.avatar(one))["is_blocked"]


async def test_every_missing_column_is_named(fresh_url: str) -> None:
    """A database that is not the bot's is refused with the name of each missing table and column."""
    with psycopg.connect(fresh_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE users (id uuid, telegram_id text, is_blocked boolean)")
    database = open_database(fresh_url)
    try:
        with pytest.raises(DatabaseUnfit) as refusal:
            await find_bot_tables(database)
    finally:
        await database.close()
    assert "missing in the database: users.language_code" in refusal.value.findings
    assert "missing in the database: avatars" in refusal.value.findings


async def test_our_migration_leaves_the_bots_tables_alone(fresh_url: str) -> None:
    """On PostgreSQL we make our own tables and no other (rule 1)."""
    migrate(fresh_url)
    with psycopg.connect(fresh_url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert sorted(name for (name,) in rows) == [
        "webhook_alerts",
        "webhook_chores",
        "webhook_deliveries",
        "webhook_events",
        "webhook_jobs",
        "webhook_lockouts",
        "webhook_login_links",
        "webhook_notifications",
        "webhook_schema_version",
        "webhook_sessions",
        "webhook_slots",
        "webhook_totals",
    ]


@pytest.mark.parametrize("owner_id", ["", "no id at all"])
async def test_an_owner_that_is_nobody_has_no_chat(database: Database, bot_tables: BotTables, owner_id: str) -> None:
    """An avatar without a users row left an empty owner id in the message: it is looked up in vain, no more."""
    with database.engine.begin() as transaction:
        assert bot_tables.chat_id(transaction, owner_id) is None


async def test_what_nobody_holds_is_free(database: Database, bot_tables: BotTables, bot: Bot) -> None:
    """Ids of no avatar and of avatars that nobody works on are not taken for held ones, on either database."""
    await bot.train("r1")
    with database.engine.begin() as transaction:
        found = bot_tables.lock(transaction, ["r1", "r2"])
    assert (set(found.trainings), found.held) == ({"r1"}, frozenset())
