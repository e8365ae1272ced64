"""The error that the bot shows stands in avatars.avatar_data, where that column is."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.db.bot_values import with_error
from app.db.engine import Database, open_database
from app.db.schema import find_bot_tables
from app.domain.training import Artifacts, Change, TrainingStatus
from tests.factories import BOT_TABLES, CONFIG, LORA, Bot
from tests.fakes import START
from tests.spellings import kept_database

pytestmark = pytest.mark.anyio

FAILURE = Change(TrainingStatus.ERROR, START, error='face not found: "лицо"')
SUCCESS = Change(
    TrainingStatus.COMPLETED, START + timedelta(minutes=1), artifacts=Artifacts(lora_url=LORA, config_url=CONFIG)
)
ERROR = {"error_message": 'face not found: "лицо"', "error_timestamp": "2026-11-22T12:00:00+00:00"}
KEPT = {"gender": "female", "photos": [1, 2.5, None], "seed": 12345678901234567890123, "note": "\u0000"}


@pytest.fixture(params=["sqlite", "json", "jsonb", "text"])
async def typed(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    """A database whose avatar_data has this type."""
    if request.param == "sqlite":
        database = open_database(request.getfixturevalue("sqlite_url"))
        yield database
        await database.close()
        return
    tables = BOT_TABLES.replace("avatar_data json", f"avatar_data {request.param}")
    yield kept_database(request.getfixturevalue("postgres"), tables)


async def change(database: Database, *changes: Change) -> None:
    """Carry out changes of the training r1, each in a transaction."""
    tables = await find_bot_tables(database)
    for one in changes:
        with database.engine.begin() as transaction:
            [training] = tables.lock(transaction, ["r1"]).trainings["r1"]
            tables.change(transaction, [(training, one, "{}")])


async def put(database: Database, raw: str | None) -> None:
    cast = ":raw" if database.is_sqlite else f"CAST(:raw AS {await column_type(database)})"
    with database.engine.begin() as transaction:
        transaction.execute(text(f"UPDATE avatars SET avatar_data = {cast}"), {"raw": raw})


async def column_type(database: Database) -> str:
    statement = "SELECT data_type FROM information_schema.columns WHERE column_name = 'avatar_data'"
    with database.engine.connect() as connection:
        return str(connection.execute(text(statement)).scalar_one())


async def held(database: Database) -> Any:
    with database.engine.connect() as connection:
        raw = connection.execute(text("SELECT CAST(avatar_data AS text) FROM avatars")).scalar_one()
    return None if raw is None else json.loads(raw)


@pytest.mark.parametrize("raw", [None, "null", "{}"])
async def test_a_failure_stands_where_the_bot_reads_it(typed: Database, raw: str | None) -> None:
    """fal's words and the moment in ISO 8601, UTC; also where nothing stood there."""
    await Bot(typed).train("r1")
    await put(typed, raw)
    await change(typed, FAILURE)
    assert await held(typed) == ERROR


async def test_a_success_takes_the_error_away_and_the_rest_stays(typed: Database) -> None:
    """Whatever else the bot keeps there is the same before, between and after."""
    kept = {key: value for key, value in KEPT.items() if key != "note"}
    await Bot(typed).train("r1")
    await put(typed, json.dumps(kept))
    await change(typed, FAILURE)
    assert await held(typed) == {**kept, **ERROR}
    await change(typed, SUCCESS)
    assert await held(typed) == kept


@pytest.mark.parametrize("raw", ['["a list"]', '"words"', "7"])
async def test_what_is_no_object_is_left_alone(typed: Database, raw: str) -> None:
    """A revision of the bot that keeps something else there keeps it; the row is changed all the same."""
    avatar_id = await Bot(typed).train("r1")
    await put(typed, raw)
    await change(typed, FAILURE)
    assert await held(typed) == json.loads(raw)
    assert (await Bot(typed).avatar(avatar_id))["training_error"] == FAILURE.error


async def test_many_rows_with_and_without_an_error_are_one_change(typed: Database) -> None:
    """Rows that need avatar_data written and rows that do not stand in one batch."""
    bot, tables = Bot(typed), await find_bot_tables(typed)
    avatars = {name: await bot.train(name) for name in ("r1", "r2", "r3")}
    await put(typed, "{}")
    with typed.engine.begin() as transaction:
        found = tables.lock(transaction, list(avatars)).trainings
        changes = [(found["r1"][0], FAILURE, "{}"), (found["r2"][0], SUCCESS, "{}"), (found["r3"][0], FAILURE, "{}")]
        tables.change(transaction, changes)
    words = [(await bot.avatar(avatar))["word"] for avatar in avatars.values()]
    assert words == ["error", "completed", "error"]


async def test_a_revision_without_the_column_is_served(postgres: str) -> None:
    """The column is optional: the training is changed without it."""
    database = kept_database(postgres, BOT_TABLES.replace("avatar_data json,", ""))
    avatar_id = await Bot(database).train("r1")
    await change(database, FAILURE)
    row = await Bot(database).avatar(avatar_id)
    assert (row["word"], row["training_error"]) == ("error", FAILURE.error)


@pytest.mark.parametrize("raw", ["{", "", '{"x": NaN}', '{"x": 1e999}', "[" * 100_000])
def test_text_that_would_not_stay_what_it_is_is_left_alone(raw: str) -> None:
    """In a text column anything may stand; what is no JSON, or cannot be written as it was, is not touched."""
    assert with_error(raw, "failed", START) is None


def test_odd_values_survive() -> None:
    """Long integers, null characters and lone surrogates of other keys come back as they were."""
    raw = '{"seed": 12345678901234567890123, "note": "\\u0000", "half": "\\ud800"}'
    changed = with_error(raw, "failed", START)
    assert changed is not None
    assert with_error(changed, None, START) == raw
