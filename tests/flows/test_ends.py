"""What a delivery makes of its job, and what is known of the job makes of a delivery (faults 26, 53, 54)."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update

from app.db import inbox, jobs, outbox
from app.db.outbox import NO_DELIVERY
from app.db.owed import Owed
from app.db.tables import deliveries, notifications
from app.db.tables import jobs as jobs_table
from app.db.trainings import BotTables
from app.domain.delivery import Source
from app.domain.job import EndpointSource, JobState
from app.domain.notification import Cause, NotificationState, Owner, OwnerMessage, Topic
from app.flows.apply import Apply
from app.flows.planning import RetryLimits
from tests.factories import CONFIG, INVENTED_LORA, LORA, Bot, delivery, empty_ok_body, error_body, ok_body
from tests.fakes import START, kinds, no_jitter
from tests.flows.conftest import House, kinds_of

pytestmark = pytest.mark.anyio

OTHER_LORA = "https://v3.fal.media/files/lion/lora.safetensors"
END = ("state", "outcome", "reason", "lora_url", "config_url", "finetune_id")


async def ends(house: House) -> list[dict[str, Any]]:
    with house.database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(select(jobs_table).order_by("id")).mappings()]


async def end(house: House) -> tuple[Any, ...]:
    [job] = await ends(house)
    return tuple(job[name] for name in END)


async def set_row(house: House, **values: Any) -> None:
    """Do what somebody else does to the only avatar."""
    columns = ", ".join(f"{name} = :{name}" for name in values)
    with house.database.engine.begin() as transaction:
        transaction.execute(text(f"UPDATE avatars SET {columns}"), values)


async def apply(house: House, *bodies: bytes) -> None:
    for body in bodies:
        await house.deliver("r1", body)
    while await house.apply():
        pass


async def test_a_success_ends_its_job(house: House, bot: Bot) -> None:
    """Outcome, artifacts as written, and the delivery that said so; nobody had to know the job before."""
    avatar_id = await bot.train("r1")
    await apply(house, ok_body("r1"))
    assert await end(house) == ("done", "completed", "completed", LORA, CONFIG, None)
    [job], [row] = await ends(house), await house.rows()
    assert (job["subject"], job["delivery_id"], job["finished_at"]) == (avatar_id, row["id"], START)
    assert (job["endpoint"], job["endpoint_source"]) == ("fal-ai/flux-lora-portrait-trainer", EndpointSource.GUESSED)


async def test_a_failure_ends_its_job(house: House, bot: Bot) -> None:
    """The job keeps fal's words, in case the body is gone."""
    await bot.train("r1")
    await apply(house, error_body("r1"))
    assert await end(house) == ("done", "failed", "failed", None, None, None)
    assert (await ends(house))[0]["detail"] == "face not found"


async def test_a_style_ends_under_its_own_endpoint(house: House, bot: Bot) -> None:
    """Which endpoint fal would be asked at depends on the trainer."""
    await bot.train("r1", trainer="style")
    await apply(house, ok_body("r1", lora=None, finetune_id="ft-1"))
    assert await end(house) == ("done", "completed", "completed", None, None, "ft-1")
    assert (await ends(house))[0]["endpoint"] == "fal-ai/flux-lora-fast-training"


async def test_a_success_overrules_the_end_on_record(house: House, bot: Bot) -> None:
    """An error becomes completed, in the job as in the row."""
    await bot.train("r1")
    await apply(house, error_body("r1"), ok_body("r1"))
    assert await end(house) == ("done", "completed", "completed", LORA, CONFIG, None)
    assert (await ends(house))[0]["detail"] is None


async def test_what_changed_nothing_is_no_news(house: House, bot: Bot) -> None:
    """The delivery that ended the job stays the one on record."""
    await bot.train("r1")
    await apply(house, ok_body("r1"), error_body("r1"), ok_body("r1", extra=1), ok_body("r1", lora=OTHER_LORA))
    assert [row["reason"] for row in await house.rows()] == ["completed", "conflict", "already_completed", "conflict"]
    assert await end(house) == ("done", "completed", "completed", LORA, CONFIG, None)
    assert (await ends(house))[0]["delivery_id"] == (await house.rows())[0]["id"]


async def test_what_the_operator_must_decide_ends_the_job_as_dead(house: House, bot: Bot) -> None:
    """A buried delivery of a known training leaves nothing to ask fal about."""
    await bot.train("r1", status="cancelled")
    await apply(house, ok_body("r1"))
    assert (await end(house))[:3] == ("dead", None, "conflict")


async def test_what_waits_ends_nothing(house: House, bot: Bot) -> None:
    """Neither an orphan nor a result that is being fetched is an end."""
    await house.deliver("r9")
    await bot.train("r1")
    await house.deliver("r1", empty_ok_body("r1"))
    await house.apply()
    assert await ends(house) == []


async def test_two_avatars_with_one_request_id_are_a_job_of_nobody(house: House, bot: Bot) -> None:
    """It is the operator's, and has no subject."""
    for _ in range(2):
        await bot.train("r1")
    await apply(house, ok_body("r1"))
    assert (await end(house))[:3] == ("dead", None, "ambiguous_training")
    assert (await ends(house))[0]["subject"] is None


async def test_the_end_of_a_batch_costs_two_statements(house: House, bot: Bot) -> None:
    """What is known is read once and written once, however many deliveries there are."""
    names = [f"r{number}" for number in range(20)]
    await bot.train_many(names)
    for name in names:
        await house.deliver(name)
    seen: list[str] = []

    @event.listens_for(house.database.engine, "before_cursor_execute")
    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    assert await house.apply() == 20
    assert sum("webhook_jobs" in statement for statement in seen) <= 2
    assert sum("FROM webhook_notifications" in statement for statement in seen) == 0
    assert [job["outcome"] for job in await ends(house)] == ["completed"] * 20


async def test_a_failure_cannot_take_back_a_success_that_was_set_back(house: House, bot: Bot) -> None:
    """The row says training again, the job knows better: kept and shown, the row left to drift (fault 53)."""
    await bot.train("r1")
    await apply(house, ok_body("r1"))
    await set_row(house, status="training", diffusers_lora_file_url=None)
    await apply(house, error_body("r1"))
    assert [row["reason"] for row in await house.rows()] == ["completed", "conflict"]
    assert await end(house) == ("done", "completed", "completed", LORA, CONFIG, None)
    assert [owed["kind"] for owed in await house.messages()] == ["ready"]


async def test_an_invented_success_gives_way_to_fals(house: House, bot: Bot) -> None:
    """Its owner hears "ready" once, and the row holds what fal made (fault 54)."""
    avatar_id = await bot.train("r1")
    await set_row(house, status="completed", diffusers_lora_file_url=INVENTED_LORA)
    await apply(house, ok_body("r1"), ok_body("r1", extra=1))
    assert (await bot.avatar(avatar_id))["diffusers_lora_file_url"] == LORA
    assert [owed["kind"] for owed in await house.messages()] == ["ready"]


async def test_an_invented_success_gives_way_to_fals_failure(house: House, bot: Bot) -> None:
    """The invention is gone, and its owner hears of the failure (fault 54)."""
    avatar_id = await bot.train("r1")
    await set_row(house, status="completed", diffusers_lora_file_url=INVENTED_LORA)
    await apply(house, error_body("r1"))
    row = await bot.avatar(avatar_id)
    assert (row["word"], row["diffusers_lora_file_url"]) == ("error", None)
    assert [owed["kind"] for owed in await house.messages()] == ["failed"]


async def test_a_portraits_second_artifact_is_taken_away(house: House, bot: Bot) -> None:
    """The bot's generator refuses a portrait with both, so the finetune id goes (fault 54)."""
    avatar_id = await bot.train("r1")
    await set_row(house, status="completed", diffusers_lora_file_url=LORA, finetune_id="ft-1")
    await apply(house, ok_body("r1"))
    row = await bot.avatar(avatar_id)
    assert (row["word"], row["diffusers_lora_file_url"], row["finetune_id"]) == ("completed", LORA, None)
    assert await house.messages() == []


@pytest.mark.parametrize("tells_found", [True, False])
async def test_what_somebody_else_completed_is_told_as_set(
    house: House, bot: Bot, bot_tables: BotTables, tells_found: bool
) -> None:
    """TELL_WHEN_FOUND_COMPLETED, for a row that holds fal's artifact already."""
    limits = RetryLimits(3, timedelta(hours=24), timedelta(seconds=60))
    flow = Apply(
        house.database,
        kinds_of(bot_tables, tells_found=tells_found),
        house.fal,
        house.clock,
        limits,
        chance=no_jitter,
        wake_notify=lambda: None,
    )
    await bot.train("r1")
    await set_row(house, status="completed", diffusers_lora_file_url=LORA)
    await house.deliver("r1")
    await house.deliver("r1", ok_body("r1", extra=1))
    assert await flow() == 2
    assert [owed["kind"] for owed in await house.messages()] == (["ready"] if tells_found else [])


async def historic(house: House) -> None:
    expected = jobs.Expected("r1", "somebody", "fal-ai/flux-lora-portrait-trainer", is_historic=True)
    with house.database.engine.begin() as transaction:
        jobs.expect(transaction, [expected], now=START, due_at=START)


@pytest.mark.parametrize(("source", "told"), [(Source.RECONCILE, []), (Source.WEBHOOK, ["ready"])])
async def test_a_job_of_a_time_before_this_server_is_mended_in_silence(
    house: House, bot: Bot, source: Source, told: list[str]
) -> None:
    """What an operator had fal asked about changes the row and tells nobody; fal's own call is news."""
    avatar_id = await bot.train("r1")
    await historic(house)
    with house.database.engine.begin() as transaction:
        inbox.put(transaction, [(delivery("r1")._replace(source=source), house.clock.at)])
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    assert [owed["kind"] for owed in await house.messages()] == told
    assert (await end(house))[:2] == ("done", "completed")


async def tell_before(house: House, avatar_id: str, *topics: Topic, state: str = NotificationState.SENT) -> None:
    """Let messages about r1 have been sent before there were jobs, one minute after the other."""
    owner = Owner("o1", 42, "ru")
    for number, topic in enumerate(topics):
        cause = Cause.NO_FACE if topic is Topic.FAILED else None
        message = OwnerMessage(avatar_id, "Айша", "r1", topic, owner, cause)
        with house.database.engine.begin() as transaction:
            outbox.owe(transaction, [Owed(message, NO_DELIVERY, START, START)], START)
            transaction.execute(
                update(notifications)
                .where(notifications.c.kind == topic)
                .values(state=state, finished_at=START + timedelta(minutes=number))
            )


async def test_who_was_told_ready_is_told_of_the_failure_by_a_correction(house: House, bot: Bot) -> None:
    """A plain "failed" after "ready" would be closed as overtaken; one correction says what is true (fault 54)."""
    avatar_id = await bot.train("r1", telegram_id="42")
    await tell_before(house, avatar_id, Topic.READY)
    await set_row(house, status="completed", diffusers_lora_file_url=INVENTED_LORA)
    await apply(house, error_body("r1"))
    assert [(owed["kind"], owed["cause"]) for owed in await house.messages()] == [
        ("ready", None),
        ("correction", "no_face"),
    ]
    await house.tell()
    assert kinds(house.messenger.sent) == ["correction"]


async def test_who_was_told_both_is_told_the_truth_once(house: House, bot: Bot) -> None:
    """ "Ready" was said before "failed", so it cannot be said again: a correction follows, and only one."""
    avatar_id = await bot.train("r1", status="error", telegram_id="42")
    await tell_before(house, avatar_id, Topic.READY, Topic.FAILED)
    await apply(house, ok_body("r1"))
    assert [owed["kind"] for owed in await house.messages()] == ["ready", "failed", "correction"]
    await set_row(house, status="error")
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(state="pending", reason="drift", due_at=house.clock.at))
    await house.apply()
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    house.clock.move(2)
    await house.tell()
    assert kinds(house.messenger.sent) == ["correction"]


async def test_the_first_ready_after_a_failure_is_no_correction(house: House, bot: Bot) -> None:
    """It says what is true by itself."""
    avatar_id = await bot.train("r1", status="error")
    await tell_before(house, avatar_id, Topic.FAILED)
    await apply(house, ok_body("r1"))
    assert [owed["kind"] for owed in await house.messages()] == ["failed", "ready"]


async def test_a_failure_that_somebody_else_turned_into_success_is_corrected(house: House, bot: Bot) -> None:
    """Found completed, the row is no news of ours; that we said "failed" is."""
    await bot.train("r1", telegram_id="42")
    await apply(house, error_body("r1"))
    await house.tell()
    await set_row(house, status="completed", diffusers_lora_file_url=LORA)
    await apply(house, ok_body("r1"))
    assert [(owed["kind"], owed["cause"]) for owed in await house.messages()] == [
        ("failed", "no_face"),
        ("correction", None),
    ]
    assert (await end(house))[:2] == ("done", "completed")


@pytest.mark.parametrize("state", [NotificationState.DEAD, NotificationState.IGNORED, NotificationState.UNSENT])
async def test_what_nobody_read_needs_no_correction(house: House, bot: Bot, state: str) -> None:
    """Only what was sent can contradict."""
    avatar_id = await bot.train("r1")
    await tell_before(house, avatar_id, Topic.READY, state=state)
    await set_row(house, status="completed", diffusers_lora_file_url=INVENTED_LORA)
    await apply(house, error_body("r1"))
    assert [owed["kind"] for owed in await house.messages()] == ["ready", "failed"]


async def test_a_job_that_a_newer_version_knows_more_of_is_read(house: House, bot: Bot) -> None:
    """A source that this version does not know came from fal all the same."""
    await bot.train("r1")
    await house.deliver("r1")
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(source="carrier_pigeon"))
    assert await house.apply() == 1
    assert [owed["kind"] for owed in await house.messages()] == ["ready"]


async def test_a_job_that_is_open_ends_with_its_delivery(house: House, bot: Bot) -> None:
    """What reconciliation was waiting for is not asked about any more."""
    await bot.train("r1")
    row = {"state": JobState.PENDING, "due_at": START, "request_id": "r1", "endpoint_source": "guessed"}
    with house.database.engine.begin() as transaction:
        transaction.execute(insert(jobs_table).values(**row, first_seen_at=START - timedelta(minutes=5)))
    await apply(house, ok_body("r1"))
    [job] = await ends(house)
    assert (job["state"], job["first_seen_at"]) == ("done", START - timedelta(minutes=5))
