"""Registered generations and the bot's rows about them, on both databases and in each spelling."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from app.db.engine import Connection, Database, open_database
from app.db.generations import Generations
from app.db.registered_jobs import Registration, register
from app.domain.errors import ClaimLost
from app.domain.job import JobKind
from app.domain.notification import OPERATOR
from app.domain.training import Change, Training, TrainingStatus
from tests.factories import BotOfImages
from tests.fakes import START
from tests.spellings import SPELLINGS, kept_database

pytestmark = pytest.mark.anyio

URLS = ("https://v3.fal.media/a.jpg", "https://v3.fal.media/b.jpg?x='\"")
SUCCESS = Change(TrainingStatus.COMPLETED, START, images=URLS)
FAILURE = Change(TrainingStatus.ERROR, START, error="too slow" + "!" * 2000)
WORDS = ("pending", "processing", "completed", "failed", "cancelled")


@pytest.fixture
def images_bot(database: Database) -> Iterator[BotOfImages]:
    """A bot that has the table."""
    bot = BotOfImages(database)
    bot.make_table()
    yield bot
    bot.drop_table()


def registered(request_id: str = "r1", chat_id: int = 42, **changes: Any) -> Registration:
    job = Registration(request_id, JobKind.GENERATION, "fal-ai/flux-lora", chat_id=chat_id)
    return replace(job, **changes)


def on_record(database: Database, *jobs: Registration) -> Generations:
    with database.engine.begin() as transaction:
        for job in jobs:
            register(transaction, job, now=START, due_at=START + timedelta(minutes=2))
        return Generations.find(transaction, operator_chat=99)


def locked(database: Database, generations: Generations, *request_ids: str) -> dict[str, list[Training]]:
    with database.engine.begin() as transaction:
        return generations.lock(transaction, request_ids).trainings


def changed(database: Database, generations: Generations, change: Change, request_id: str = "r1") -> None:
    with database.engine.begin() as transaction:
        [one] = generations.lock(transaction, [request_id]).trainings[request_id]
        generations.change(transaction, [(one, change, "{}")])


async def test_a_registered_generation_is_found_without_the_bots_table(database: Database) -> None:
    """Chat, language and endpoint are the registration's, the rest of the owner is the users' row."""
    user = BotOfImages(database).meet(42, "kk")
    generations = on_record(database, registered())
    [one] = locked(database, generations, "r1", "unheard")["r1"]
    assert (one.owner.id, one.owner.chat_id, one.owner.language) == (user, 42, "kk")
    assert (one.avatar_id, one.endpoint, one.status, one.name) == (
        "r1",
        "fal-ai/flux-lora",
        TrainingStatus.TRAINING,
        "",
    )
    changed(database, generations, SUCCESS)


async def test_what_nobody_registered_is_not_found(database: Database) -> None:
    """It waits as an orphan; a training of that request id is none either."""
    training = registered("r2", kind=JobKind.TRAINING)
    generations = on_record(database, replace(training, chat_id=None))
    assert locked(database, generations, "r1", "r2") == {}


async def test_the_registration_s_language_comes_first(database: Database) -> None:
    """The bot knows best in which language it asked."""
    BotOfImages(database).meet(42, "kk")
    generations = on_record(database, registered(language="en"))
    assert locked(database, generations, "r1")["r1"][0].owner.language == "en"


async def test_only_known_chats_may_be_told(database: Database) -> None:
    """A user's chat, or the operator's; another is refused at registration. The operator is nobody's row."""
    BotOfImages(database).meet(42)
    generations = on_record(database, registered(chat_id=99))
    with database.engine.connect() as connection:
        assert [generations.knows(connection, chat) for chat in (42, 99, 4, -42)] == [True, True, False, False]
    assert locked(database, generations, "r1")["r1"][0].owner.id == OPERATOR


async def test_a_long_request_id_names_its_messages_in_short(database: Database) -> None:
    """Our columns hold 36 characters of a subject."""
    generations = on_record(database, registered("r" * 255))
    [one] = locked(database, generations, "r" * 255)["r" * 255]
    assert len(one.avatar_id) == 36


@pytest.mark.parametrize("subject", ["no-uuid", "0b0f5b9e-5f6c-4a51-9d3b-7f2f4b0a1c11"])
@pytest.mark.usefixtures("images_bot")
async def test_a_row_that_is_not_there_costs_nothing(database: Database, subject: str) -> None:
    """A subject that names no row is told all the same."""
    generations = on_record(database, registered(subject_id=subject))
    assert locked(database, generations, "r1")["r1"][0].avatar_id == subject
    changed(database, generations, SUCCESS)


async def test_the_row_gets_its_images(database: Database, images_bot: BotOfImages) -> None:
    """Status, URLs in order and the time; the prompt is what the owner is told."""
    row_id = images_bot.ask("a cat")
    generations = on_record(database, registered(subject_id=row_id))
    assert locked(database, generations, "r1")["r1"][0].name == "a cat"
    changed(database, generations, SUCCESS)
    row = images_bot.row(row_id)
    assert (row["word"], row["urls"], row["error_message"]) == ("completed", list(URLS), None)
    assert str(row["completed_at"]).startswith("2026-11-22 12:00:00")


async def test_the_row_gets_its_error(database: Database, images_bot: BotOfImages) -> None:
    """As much of fal's words as the column holds."""
    row_id = images_bot.ask("a cat")
    generations = on_record(database, registered(subject_id=row_id))
    changed(database, generations, FAILURE)
    row = images_bot.row(row_id)
    assert (row["word"], len(row["error_message"]), row["urls"]) == ("failed", 1000, None)


async def test_a_word_that_nobody_knows_is_left_alone(database: Database, images_bot: BotOfImages) -> None:
    """The owner is told; the row stays as the bot's newer revision wrote it."""
    row_id = images_bot.ask("a cat", "upscaling")
    generations = on_record(database, registered(subject_id=row_id))
    changed(database, generations, SUCCESS)
    assert images_bot.row(row_id)["word"] == "upscaling"


async def test_a_row_that_changed_meanwhile_is_not_overwritten(database: Database, images_bot: BotOfImages) -> None:
    """Compare-and-set on the status: the whole transaction is undone."""
    row_id = images_bot.ask("a cat")
    generations = on_record(database, registered(subject_id=row_id))
    [one] = locked(database, generations, "r1")["r1"]

    def write(connection: Connection) -> None:
        generations.change(connection, [(replace(one, spelling="pending"), SUCCESS, "{}")])

    with pytest.raises(ClaimLost):
        await database.write(write)
    assert images_bot.row(row_id)["word"] == "processing"


@pytest.fixture(params=list(SPELLINGS))
def spelled(request: pytest.FixtureRequest, postgres: str) -> Iterator[tuple[Database, str, Any]]:
    tables, word = SPELLINGS[request.param]
    column = "varchar(20)"
    if str(request.param).startswith("native"):
        column, words = "generationstatus", ", ".join(f"'{word(one)}'" for one in WORDS)
        tables += f"; CREATE TYPE generationstatus AS ENUM ({words})"
    database = kept_database(postgres, tables)
    yield database, column, word
    BotOfImages(database).drop_table()


async def test_words_are_written_as_the_row_spells_them(spelled: tuple[Database, str, Any]) -> None:
    """PROCESSING becomes COMPLETED, processing becomes completed; native enums are cast."""
    database, column, word = spelled
    bot = BotOfImages(database)
    bot.make_table(column)
    for request_id, change, end in (("r1", SUCCESS, "completed"), ("r2", FAILURE, "failed")):
        row_id = bot.ask("a cat", word("processing"))
        generations = on_record(database, registered(request_id, subject_id=row_id))
        changed(database, generations, change, request_id)
        assert bot.row(row_id)["word"] == word(end)


async def test_a_row_that_the_bot_holds_is_waited_for(postgres_url: str) -> None:
    """On PostgreSQL a locked row delays its own generation, and no other."""
    database = open_database(postgres_url)
    bot = BotOfImages(database)
    bot.make_table()
    row_id = bot.ask("a cat")
    generations = on_record(database, registered(subject_id=row_id), registered("r2"))
    with database.engine.begin() as holding:
        holding.exec_driver_sql("SELECT * FROM image_generations FOR UPDATE")
        with database.engine.begin() as transaction:
            found = generations.lock(transaction, ["r1", "r2"])
    assert (set(found.trainings), set(found.held)) == ({"r2"}, {"r1"})
    bot.drop_table()
    await database.close()


async def test_rows_that_may_not_be_written_count_as_absent(postgres_url: str) -> None:
    """Without a right to the bot's table generations are told, and nothing is written."""
    database = open_database(postgres_url)
    bot = BotOfImages(database)
    bot.make_table()
    row_id = bot.ask("a cat")
    with database.engine.begin() as transaction:
        transaction.exec_driver_sql("CREATE ROLE nobody_of_images")
        transaction.exec_driver_sql("GRANT SELECT ON users, webhook_jobs TO nobody_of_images")
        register(transaction, registered(subject_id=row_id), now=START, due_at=START)
    with database.engine.begin() as transaction:
        transaction.exec_driver_sql("SET LOCAL ROLE nobody_of_images")
        generations = Generations.find(transaction)
    changed(database, generations, SUCCESS)
    assert bot.row(row_id)["word"] == "processing"
    with database.engine.begin() as transaction:
        transaction.exec_driver_sql("DROP OWNED BY nobody_of_images; DROP ROLE nobody_of_images")
    bot.drop_table()
    await database.close()
