"""What others spoil in a finished row heals within two looks, without a second message (I11, faults 53, 54)."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, text, update
from structlog.testing import capture_logs

from app.db import chores, drift, inbox, outbox
from app.db import jobs as jobs_queue
from app.db.digest import sum_up
from app.db.engine import open_database
from app.db.operator_queries import Queue
from app.db.outbox import NO_DELIVERY
from app.db.owed import Owed
from app.db.schema import find_bot_tables
from app.db.tables import deliveries, jobs, notifications
from app.db.trainings import BotTables
from app.domain.notification import Owner, OwnerMessage, Topic
from app.domain.story import Story
from app.flows.drift import NAME, Mend
from app.flows.operate import Operation, operate
from app.flows.prune import Prune
from app.flows.why import why
from tests.factories import CONFIG, INVENTED, INVENTED_ID, INVENTED_LORA, LORA, Bot, error_body, ok_body
from tests.fakes import START, FrozenClock, kinds
from tests.flows.conftest import House, open_house
from tests.spellings import SPELLINGS, kept_database

pytestmark = pytest.mark.anyio

EVERY = timedelta(seconds=60)
OTHER_LORA = "https://v3.fal.media/files/lion/lora.safetensors"
POLLED = {"diffusers_lora_file_url": INVENTED_LORA, "config_file_url": "https://emergency-fallback.com/config.json"}
HELD = ("diffusers_lora_file_url", "config_file_url", "finetune_id")


@dataclass
class Home:
    """A house with its bot, which spoils the row of r1, and the chore that finds it."""

    house: House
    bot: Bot
    mend: Mend
    spell: Any = str
    avatar_id: str = ""
    woken: list[str] = field(default_factory=list)

    async def train(self, **values: Any) -> None:
        words = {name: self.spell(values.pop(name, default)) for name, default in DEFAULTS.items()}
        self.avatar_id = await self.bot.train("r1", telegram_id="42", **words, **values)

    async def apply(self, *bodies: bytes) -> None:
        """Take in deliveries and tell what they owe."""
        for body in bodies:
            await self.house.deliver("r1", body)
        while await self.house.apply():
            pass
        self.house.clock.move(2)
        await self.house.tell()

    async def spoil(self, **values: Any) -> None:
        """Write as the bot's own code does, without regard to what is there."""
        if "status" in values:
            values["status"] = self.spell(values["status"])
        await self.bot.write(self.avatar_id, **values)

    async def look(self, minutes: float = 1) -> int:
        """Let a minute pass and the chore run, as the story of the job foretells, then whatever follows."""
        self.house.clock.move(minutes * 60)
        story = await self.story()
        mended = await self.mend()
        assert bool(mended) is (story.waits_for is not None and story.waits_for.code == "wait.put_right")
        await self.apply()
        return mended

    async def row(self) -> tuple[Any, ...]:
        row = await self.bot.avatar(self.avatar_id)
        return str(row["word"]).lower(), *(row[name] for name in HELD)

    async def story(self) -> Story:
        return await why(
            self.house.database, self.mend.bot_tables, self.house.clock, "r1", invented=INVENTED, has_token=True
        )

    async def job(self) -> dict[str, Any]:
        with self.house.database.engine.connect() as connection:
            return dict(connection.execute(select(jobs)).mappings().one())

    def told(self) -> list[str]:
        return kinds(self.house.messenger.sent)


DEFAULTS = {"status": "training", "trainer": "portrait"}


@pytest.fixture
async def home(house: House, bot: Bot, bot_tables: BotTables) -> Home:
    return home_of(house, bot, bot_tables)


def home_of(house: House, bot: Bot, bot_tables: BotTables, spell: Any = str) -> Home:
    woken: list[str] = []
    mend = Mend(
        house.database,
        bot_tables,
        house.clock,
        INVENTED,
        every=timedelta(seconds=60),
        wake_apply=lambda: woken.append("apply"),
    )
    return Home(house, bot, mend, spell, woken=woken)


@pytest.fixture(params=["sqlite", *SPELLINGS])
async def spelled(request: pytest.FixtureRequest, sqlite_url: str, clock: FrozenClock) -> AsyncIterator[Home]:
    """A home on each way that a revision of the bot makes its tables."""
    tables, spell = SPELLINGS.get(request.param, ("", str))
    async with AsyncExitStack() as stack:
        if tables:
            database = kept_database(request.getfixturevalue("postgres"), tables)
        else:
            database = open_database(sqlite_url)
            stack.push_async_callback(database.close)
        bot_tables = await find_bot_tables(database)
        house = await stack.enter_async_context(open_house(database, bot_tables, clock))
        yield home_of(house, Bot(database), bot_tables, spell)


READY_ROW = ("completed", LORA, CONFIG, None)
FAILED_ROW = ("error", None, None, None)
# What fal says, what the bot writes, before or after it, and what stands and was told in the end.
MISHAPS: dict[str, tuple[bytes, dict[str, Any], bool, tuple[Any, ...], list[str]]] = {
    "set back after success": (
        ok_body("r1"),
        {"status": "training", "training_progress": 0},
        False,
        READY_ROW,
        ["ready"],
    ),
    "set back after failure": (
        error_body("r1"),
        {"status": "training", "training_progress": 0},
        False,
        FAILED_ROW,
        ["failed"],
    ),
    "an error over a success": (ok_body("r1"), {"status": "error"}, False, READY_ROW, ["ready"]),
    "invented before success": (ok_body("r1"), {"status": "completed", **POLLED}, True, READY_ROW, ["ready"]),
    "invented before failure": (error_body("r1"), {"status": "completed", **POLLED}, True, FAILED_ROW, ["failed"]),
    "invented after success": (ok_body("r1"), {"status": "completed", **POLLED}, False, READY_ROW, ["ready"]),
    "invented after failure": (error_body("r1"), {"status": "completed", **POLLED}, False, FAILED_ROW, ["failed"]),
    "invented after failure, and an error": (
        error_body("r1"),
        {"status": "error", **POLLED},
        False,
        FAILED_ROW,
        ["failed"],
    ),
    "invented before failure, and an error": (error_body("r1"), {"status": "error", **POLLED}, True, FAILED_ROW, []),
    "nothing left after success": (
        ok_body("r1"),
        {"status": "completed", "diffusers_lora_file_url": None},
        False,
        READY_ROW,
        ["ready"],
    ),
    "both artifacts": (ok_body("r1"), {"finetune_id": INVENTED_ID}, False, READY_ROW, ["ready"]),
    "both artifacts, real ones": (ok_body("r1"), {"finetune_id": "ft-1"}, False, READY_ROW, ["ready"]),
}


@pytest.mark.parametrize("mishap", MISHAPS)
async def test_a_mishap_heals_within_two_looks_with_one_message(spelled: Home, mishap: str) -> None:
    """Whatever the bot does to a finished row, in whatever spelling, ends as fal said, told once (faults 53, 54)."""
    said, written, is_before, row, told = MISHAPS[mishap]
    await spelled.train()
    if is_before:
        await spelled.spoil(**written)
    await spelled.apply(said)
    if not is_before:
        await spelled.spoil(**written)
    for _ in range(2):
        await spelled.look()
    assert await spelled.row() == row
    assert spelled.told() == told
    assert await spelled.look() == 0
    assert (await spelled.job())["drifts"] == (0 if is_before else 1)


async def test_the_bots_own_error_stays_where_only_an_invented_artifact_goes(spelled: Home) -> None:
    """fal's success had no artifact, and the bot has ended it: what it told its owner is kept (fault 54)."""
    await spelled.train()
    await spelled.spoil(status="error", training_error="of the bot", **POLLED)
    await spelled.apply(ok_body("r1", lora=None))
    assert await spelled.row() == FAILED_ROW
    assert (await spelled.bot.avatar(spelled.avatar_id))["training_error"] == "of the bot"
    assert await spelled.look() == 0


@pytest.mark.parametrize("trainer", ["style", "portrait"])
async def test_a_row_that_stands_as_its_job_ended_has_not_drifted(home: Home, trainer: str) -> None:
    """Nothing is looked at twice, and nothing is written."""
    await home.train(trainer=trainer)
    await home.apply(ok_body("r1", finetune_id="ft-1"))
    before = await home.bot.avatar(home.avatar_id)
    assert await home.look() == 0
    assert await home.bot.avatar(home.avatar_id) == before
    assert home.woken == []


@pytest.mark.parametrize("status", ["draft", "photos_uploading", "ready_for_training", "cancelled", "archived"])
@pytest.mark.parametrize("said", [ok_body("r1"), error_body("r1")], ids=["success", "failure"])
async def test_a_row_that_the_bot_begins_anew_is_left_alone(home: Home, status: str, said: bytes) -> None:
    """These statuses are the bot's own way on, or none that we know."""
    await home.train()
    await home.apply(said)
    await home.spoil(status=status)
    assert await home.look() == 0
    assert (await home.row())[0] == status


async def test_another_real_artifact_is_no_drift(home: Home) -> None:
    """It is a conflict at most, and nobody knows better than whoever wrote it."""
    await home.train()
    await home.apply(ok_body("r1"))
    await home.spoil(diffusers_lora_file_url=OTHER_LORA)
    assert await home.look() == 0
    assert (await home.row())[1] == OTHER_LORA


async def test_a_failure_that_turned_into_a_real_success_is_no_drift(home: Home) -> None:
    """An artifact that is real proves success, whoever found it."""
    await home.train()
    await home.apply(error_body("r1"))
    await home.spoil(status="completed", diffusers_lora_file_url=LORA)
    assert await home.look() == 0
    assert (await home.row())[:2] == ("completed", LORA)


async def test_a_row_with_another_request_id_is_not_the_jobs_any_more(home: Home) -> None:
    """The owner trains again: the old job's end does not hold the new training back."""
    await home.train()
    await home.apply(ok_body("r1"))
    await home.spoil(status="training", fal_request_id="r2", diffusers_lora_file_url=None)
    assert await home.look() == 0


async def test_an_avatar_that_took_the_request_id_over_is_not_the_jobs(home: Home) -> None:
    """A job knows its subject."""
    await home.train()
    await home.apply(ok_body("r1"))
    await home.spoil(fal_request_id="r0")
    await home.bot.train("r1")
    assert await home.look() == 0


async def test_an_old_job_is_held_against_its_row_no_more(home: Home) -> None:
    """After 30 days a row may be whatever it is."""
    await home.train()
    await home.apply(ok_body("r1"))
    await home.spoil(status="training")
    assert await home.look(minutes=31 * 24 * 60) == 0


async def test_a_style_gets_its_own_artifact_back(home: Home) -> None:
    """A finetune id instead of an invented one, a LoRA's columns null."""
    await home.train(trainer="style")
    await home.apply(ok_body("r1", lora=None, finetune_id="ft-1"))
    await home.spoil(finetune_id=INVENTED_ID, **POLLED)
    assert await home.look() == 1
    assert await home.row() == ("completed", None, None, "ft-1")


async def test_a_row_that_is_spoilt_again_and_again_is_mended_ever_more_rarely(home: Home) -> None:
    """Once a minute at first, then after 1, 2, 4 … minutes; its owner hears nothing of it (fault 53)."""
    await home.train()
    await home.apply(ok_body("r1"))
    mended_at = []
    for minute in range(16):
        await home.spoil(status="training")
        if await home.look(minutes=58 / 60):  # telling takes two seconds more
            mended_at.append(minute)
    waits = [after - before for before, after in pairwise(mended_at)]
    assert waits == [1, 2, 4, 8]
    assert (await home.job())["drifts"] == len(mended_at)
    assert home.told() == ["ready"]


@pytest.mark.parametrize("said", [ok_body("r1"), error_body("r1")], ids=["success", "failure"])
async def test_a_delivery_that_retention_emptied_is_written_anew(home: Home, said: bytes) -> None:
    """What the job keeps of its end is enough, also when the new delivery was emptied in its turn."""
    await home.train()
    await home.apply(said)
    row = await home.row()
    for _ in range(2):
        home.house.clock.move(8 * 24 * 3600)
        await Prune(home.house.database, home.house.clock, timedelta(days=7))()
        assert {one["body"] for one in await home.house.rows()} == {None}
        await home.spoil(status="training", diffusers_lora_file_url=None, config_file_url=None)
        assert await home.look() == 1
        assert await home.row() == row
    first, second = await home.house.rows()
    assert (first["state"], first["source"]) == ("done", "webhook")
    assert (second["source"], second["state"], (await home.job())["delivery_id"]) == ("reconcile", "done", second["id"])
    assert len(home.told()) == 1


async def test_the_words_of_a_failure_survive_its_bytes(home: Home) -> None:
    """The bot's error is what fal said, not what is left of it."""
    await home.train()
    await home.apply(error_body("r1"))
    home.house.clock.move(8 * 24 * 3600)
    await Prune(home.house.database, home.house.clock, timedelta(days=7))()
    await home.spoil(status="training", training_error=None)
    await home.look()
    assert (await home.bot.avatar(home.avatar_id))["training_error"] == "face not found"


@pytest.mark.parametrize("state", ["dead", "ignored", "pending"])
async def test_a_delivery_that_is_not_done_is_left_to_whoever_has_it(home: Home, state: str) -> None:
    """An operator's decision, or one that is still to be made, is not undone."""
    await home.train()
    await home.apply(ok_body("r1"))
    await home.spoil(status="training")
    with home.house.database.engine.begin() as transaction:
        later = home.house.clock.at + timedelta(hours=1)
        transaction.execute(update(deliveries).values(state=state, reason="conflict", due_at=later))
    assert await home.look() == 0
    [row] = await home.house.rows()
    assert (row["state"], row["reason"], (await home.job())["drifts"]) == (state, "conflict", 0)


async def test_only_one_replica_looks_in_a_minute(home: Home) -> None:
    """The chore is claimed."""
    await home.train()
    await home.apply(ok_body("r1"))
    with home.house.database.engine.begin() as transaction:
        assert chores.claim(transaction, NAME, now=home.house.clock.at, lease=EVERY, every=EVERY)
    await home.spoil(status="training")
    assert await home.mend() == 0
    assert await home.look() == 1


@pytest.mark.parametrize("said", [ok_body("r1"), error_body("r1")], ids=["success", "failure"])
async def test_what_was_mended_ended_when_it_first_did(home: Home, said: bytes) -> None:
    """A row that is put right two days later is no new end: neither the day's figures nor the story move it."""
    await home.train()
    await home.apply(said)
    ended_at = (await home.job())["finished_at"]
    home.house.clock.move(2 * 24 * 3600)
    await home.spoil(status="training")
    assert await home.look() == 1
    job = await home.job()
    assert (job["finished_at"], job["stage_since"]) == (ended_at, ended_at)
    digest = await home.house.database.read(sum_up, home.house.clock.at)
    assert (digest.ready, digest.failed, digest.failures) == (0, 0, ())
    story = await home.story()
    order = [sentence.code for sentence in story.sentences if sentence.at is not None]
    assert order.index("message.sent") < order.index("job.drifted")
    assert max(order.index(code) for code in order if code.startswith(("delivery.", "job.end"))) < order.index(
        "job.drifted"
    )


async def test_what_was_found_is_logged_and_its_delivery_due(home: Home) -> None:
    """Whoever reads the log learns what stood there, how the job had ended, and how often it happened."""
    await home.train()
    await home.apply(ok_body("r1"))
    await home.spoil(status="completed", **POLLED)
    home.house.clock.move(60)
    with capture_logs() as events:
        assert await home.mend() == 1
    logged = {"event": "job.drifted", "log_level": "warning", "request_id": "r1", "avatar": home.avatar_id}
    assert events == [{**logged, "found": "artifact_invented", "outcome": "completed", "times": 1}]
    [row] = await home.house.rows()
    assert (row["state"], row["reason"], row["failures"], row["attempt"]) == ("pending", "drift", 0, 2)
    assert home.woken == ["apply"]


async def tell_wrongly(home: Home, topic: Topic) -> None:
    """Let a message that was sent last say the opposite of what the job ended with."""
    message = OwnerMessage(home.avatar_id, "Айша", "r1", topic, Owner("o1", 42, "ru"), None)
    now = home.house.clock.at
    with home.house.database.engine.begin() as transaction:
        outbox.owe(transaction, [Owed(message, NO_DELIVERY, now, now)], now)
        sent = update(notifications).where(notifications.c.kind == topic)
        transaction.execute(sent.values(state="sent", finished_at=now))


@pytest.mark.parametrize(
    ("said", "wrong", "cause"), [(ok_body("r1"), Topic.FAILED, None), (error_body("r1"), Topic.READY, "no_face")]
)
async def test_a_wrong_last_message_is_corrected_once(home: Home, said: bytes, wrong: Topic, cause: str | None) -> None:
    """However often the row drifts, one correction follows, and it says what fal said (I11)."""
    await home.train()
    await home.apply(said)
    await tell_wrongly(home, wrong)
    for _ in range(4):
        await home.spoil(status="training")
        await home.look(minutes=31)
    messages = [(owed["kind"], owed["cause"], owed["state"]) for owed in await home.house.messages()]
    assert messages[2:] == [("correction", cause, "sent")]
    assert home.told() == [messages[0][0], "correction"]


async def test_a_job_before_this_servers_time_drifts_in_silence(home: Home) -> None:
    """What was fetched by hand and told to nobody is mended and told to nobody."""
    await home.train()
    expected = jobs_queue.Expected("r1", home.avatar_id, "fal-ai/flux-lora-portrait-trainer", is_historic=True)
    with home.house.database.engine.begin() as transaction:
        jobs_queue.expect(transaction, [expected], now=START, due_at=START)
    await home.house.deliver("r1")
    with home.house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(source="reconcile"))
    await home.apply()
    await home.spoil(status="training")
    assert await home.look() == 1
    assert (await home.row())[0] == "completed"
    assert await home.house.messages() == []


async def test_an_operator_may_redrive_what_has_drifted(home: Home) -> None:
    """A done delivery is applied once more only where its avatar does not stand as its job ended."""
    await home.train()
    await home.apply(ok_body("r1"))

    async def redrive() -> list[int]:
        return await operate(
            home.house.database,
            home.house.clock,
            Queue.DELIVERIES,
            Operation.REDRIVE,
            ids=[1],
            who="aisha",
            invented=INVENTED,
        )

    assert await redrive() == []
    await home.spoil(status="completed", **POLLED)
    assert await redrive() == [1]
    await home.apply()
    assert await home.row() == READY_ROW
    assert home.told() == ["ready"]


async def test_traces_of_the_poller_are_counted(home: Home) -> None:
    """Rows that hold something invented, and jobs that drifted in the last day."""
    await home.train()
    await home.apply(ok_body("r1"))

    def traces() -> tuple[int, int]:
        with home.house.database.engine.connect() as connection:
            return drift.traces(connection, home.mend.bot_tables, INVENTED, home.house.clock.at)

    assert traces() == (0, 0)
    await home.spoil(status="completed", **POLLED)
    assert traces() == (1, 0)
    await home.look()
    assert traces() == (0, 1)
    home.house.clock.move(25 * 3600)
    assert traces() == (0, 0)


async def test_many_jobs_drift_at_once(home: Home) -> None:
    """The bot starts anew and sets back all that it knows: one look makes all of them due."""
    names = [f"r{number}" for number in range(30)]
    await home.bot.train_many(names)
    for name in names:
        await home.house.deliver(name)
    while await home.house.apply():
        pass
    with home.house.database.engine.begin() as transaction:
        transaction.execute(text("UPDATE avatars SET status = 'training'"))
    home.house.clock.move(60)
    assert await home.mend() == 30
    with home.house.database.engine.begin() as transaction:
        due = inbox.lock(transaction, now=home.house.clock.at, limit=100)
    assert {(one.reason, one.failures) for one in due} == {("drift", 0)}
    assert len(due) == 30
