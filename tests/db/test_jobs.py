"""Jobs on both databases: taken in, claimed, recorded, ended, registered."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db import inbox, jobs
from app.db.engine import Connection, Database
from app.db.jobs import Ended, Expected, Looked
from app.db.registered_jobs import Registration, register
from app.db.tables import jobs as table
from app.domain.errors import ClaimLost
from app.domain.job import EndpointSource, JobKind, JobOutcome, JobState, Stage
from app.domain.look import End, OpenJob, Wait
from app.domain.training import Artifacts, Known
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=60)
TRAINER = "fal-ai/flux-lora-portrait-trainer"
DONE = Ended("r1", JobKind.TRAINING, "a1", TRAINER, JobState.DONE, "completed", 7, outcome=JobOutcome.COMPLETED)
TOLD = Registration("r1", JobKind.TRAINING, "fal-ai/other", "https://queue.fal.run/s", None, "a1", 1000)


async def expect(database: Database, *request_ids: str, is_historic: bool = False, due: float = 0) -> None:
    found = [Expected(request_id, "a1", TRAINER, is_historic) for request_id in request_ids]
    await database.write(jobs.expect, found, now=START, due_at=START + timedelta(seconds=due))


async def claim(database: Database, seconds: float = 0, **options: object) -> list[OpenJob]:
    now = START + timedelta(seconds=seconds)
    return await database.write(jobs.claim, now=now, lease_until=now + LEASE, limit=10, **options)  # type: ignore[arg-type]


async def rows(database: Database) -> dict[str, dict[str, object]]:
    def read(connection: Connection) -> dict[str, dict[str, object]]:
        found = connection.execute(select(table)).mappings()
        return {row["request_id"]: {str(name): value for name, value in row.items()} for row in found}

    return await database.read(read)


async def test_a_job_is_due_when_its_time_has_come(database: Database) -> None:
    """Neither before, nor again while its claim lasts."""
    await expect(database, "r1", due=120)
    assert await claim(database, 119) == []
    [job] = await claim(database, 120)
    assert (job.request_id, job.claim.attempt, job.endpoint_source) == ("r1", 1, EndpointSource.GUESSED)
    assert await claim(database, 179) == []
    assert len(await claim(database, 180)) == 1


async def test_a_job_is_met_once(database: Database) -> None:
    """Taking in a training that has a job already leaves the job as it is."""
    await expect(database, "r1")
    [job] = await claim(database)
    await database.write(jobs.record, [Looked(job, End(JobState.DONE, "completed", JobOutcome.COMPLETED))], START)
    await expect(database, "r1", "r2")
    assert {name: row["state"] for name, row in (await rows(database)).items()} == {"r1": "done", "r2": "pending"}


async def test_no_job_is_asked_about_whose_delivery_waits(database: Database) -> None:
    """A delivery that is stored but not applied yet says more than fal's queue would."""
    await expect(database, "r1", "r2")
    await database.write(inbox.put, [(delivery("r1"), START)])
    assert [job.request_id for job in await claim(database)] == ["r2"]


async def test_a_historic_job_is_claimed_by_hand_only(database: Database) -> None:
    """What was old at the first start is never due; named, it is claimed and stays historic."""
    await expect(database, "r1", is_historic=True)
    assert await claim(database, 1e6) == []
    [job] = await claim(database, ids=["r1"])
    await database.write(jobs.record, [Looked(job, Wait(START, None, said=True, stage=Stage.QUEUED))], START)
    assert (await rows(database))["r1"]["state"] == "historic"


async def test_what_a_look_found_stands_on_the_row(database: Database) -> None:
    """Stage and position, since when it is at work by our clock, and when fal was asked."""
    await expect(database, "r1")
    [job] = await claim(database)
    wait = Wait(START + LEASE, None, said=True, stage=Stage.AT_WORK, position=3)
    await database.write(jobs.record, [Looked(job, wait)], START)
    row = (await rows(database))["r1"]
    assert (row["stage"], row["position"], row["at_work_since"], row["looked_at"]) == ("at_work", 3, START, START)
    later = START + LEASE
    [job] = await claim(database, 60)
    await database.write(jobs.record, [Looked(job, replace(wait, at=later))], later)
    row = (await rows(database))["r1"]
    assert (row["at_work_since"], row["stage_since"], row["looked_at"]) == (START, START, later)


async def test_looks_without_an_answer_are_counted(database: Database) -> None:
    """They count as failures until fal says something again."""
    await expect(database, "r1")
    for failures, said in ((1, False), (2, False), (0, True)):
        [job] = await claim(database, 0)
        await database.write(jobs.record, [Looked(job, Wait(START, "fal_down", said=said))], START)
        assert (await rows(database))["r1"]["failures"] == failures


async def test_a_look_cannot_undo_what_a_webhook_ended(database: Database) -> None:
    """The webhook's delivery ends the job while fal is asked: what the look found is dropped."""
    await expect(database, "r1")
    [job] = await claim(database)
    await database.write(jobs.end, [replace(DONE, changes=True)], START)
    with pytest.raises(ClaimLost):
        await database.write(jobs.record, [Looked(job, Wait(START, None, said=True))], START)
    assert (await rows(database))["r1"]["state"] == "done"


async def test_a_delivery_ends_a_job_that_nobody_knew_of(database: Database) -> None:
    """The job is made, ended, with what was written into the row."""
    artifacts = Artifacts(lora_url="https://v3.fal.media/l", config_url="https://v3.fal.media/c")
    await database.write(jobs.end, [replace(DONE, changes=True, artifacts=artifacts)], START)
    assert await database.read(jobs.known, ["r1", "r2"]) == {
        "r1": Known(JobState.DONE, JobOutcome.COMPLETED, artifacts, began_at=START)
    }
    row = (await rows(database))["r1"]
    assert (row["delivery_id"], row["first_seen_at"], row["endpoint"]) == (7, START, TRAINER)


async def test_what_changed_nothing_ends_no_ended_job(database: Database) -> None:
    """A repeat or a conflict leaves the outcome; a change of the row replaces it."""
    await database.write(jobs.end, [replace(DONE, changes=True)], START)
    failed = replace(DONE, outcome=JobOutcome.FAILED, reason="failed", delivery_id=8)
    await database.write(jobs.end, [failed], START)
    assert (await rows(database))["r1"]["outcome"] == "completed"
    await database.write(jobs.end, [replace(failed, changes=True)], START)
    assert (await rows(database))["r1"]["outcome"] == "failed"


async def test_the_first_registration_stands(database: Database) -> None:
    """A second one learns the first one's digest and changes nothing."""
    due = {"now": START, "due_at": START}
    assert await database.write(register, TOLD, **due) is None
    assert await database.write(register, replace(TOLD, endpoint="fal-ai/third"), **due) == TOLD.digest()
    row = (await rows(database))["r1"]
    assert (row["endpoint"], row["endpoint_source"], row["steps"]) == ("fal-ai/other", "registered", 1000)


async def test_a_registration_corrects_a_guess(database: Database) -> None:
    """A job met in the bot's table gets its endpoint and URLs; what is known of it stays."""
    await expect(database, "r1", due=120)
    await database.write(register, TOLD, now=START, due_at=START)
    row = (await rows(database))["r1"]
    assert (row["endpoint"], row["status_url"]) == ("fal-ai/other", "https://queue.fal.run/s")
    assert row["due_at"] == START + timedelta(seconds=120)


async def test_an_outage_makes_every_open_job_due(database: Database) -> None:
    """Those that wait become due; those that ended stay."""
    await expect(database, "r1", "r2", due=3600)
    await database.write(jobs.end, [replace(DONE, changes=True)], START)
    assert await database.write(jobs.rouse, START) == 1
    assert [job.request_id for job in await claim(database)] == ["r2"]
