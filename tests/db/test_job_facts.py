"""What is counted of jobs for alerts and the status page."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.db import inbox, job_facts
from app.db.engine import Database
from app.db.tables import deliveries
from app.domain.job_alarms import AT_WORK_LATE, FIRST_IN_LINE, LATELY, UNHEARD, JobFacts
from tests.factories import delivery
from tests.fakes import START
from tests.job_facts import NO_JOBS, add_job

pytestmark = pytest.mark.anyio

MOMENT = timedelta(seconds=1)
LATE = START - AT_WORK_LATE - MOMENT
LONG_AGO = START - timedelta(days=9)


async def count(database: Database) -> JobFacts:
    return await database.read(job_facts.count, START)


async def test_without_jobs_there_is_nothing(database: Database) -> None:
    """No rows, no figures."""
    assert await count(database) == NO_JOBS


@pytest.mark.parametrize(
    ("columns", "overdue"),
    [
        ({}, 0),
        ({"stage": "at_work", "at_work_since": START - AT_WORK_LATE}, 0),
        ({"stage": "at_work", "at_work_since": LATE}, 1),
        ({"stage": "finished", "at_work_since": LATE}, 1),
        ({"stage": None, "at_work_since": LATE}, 1),
        ({"stage": "queued", "first_seen_at": LONG_AGO}, 0),
        ({"stage": "queued", "at_work_since": LATE}, 0),
        ({"stage": "queued", "stage_since": START - FIRST_IN_LINE - MOMENT, "position": 0}, 1),
        ({"stage": "queued", "stage_since": START - FIRST_IN_LINE - MOMENT, "position": 1}, 0),
        ({"stage": "queued", "stage_since": START - FIRST_IN_LINE - MOMENT, "position": None}, 0),
        ({"stage": "queued", "stage_since": START - FIRST_IN_LINE, "position": 0}, 0),
        ({"stage": "at_work", "stage_since": LONG_AGO, "position": 0}, 0),
        ({"said_at": START - UNHEARD - MOMENT}, 1),
        ({"said_at": START - UNHEARD}, 0),
        ({"said_at": None, "first_seen_at": START - UNHEARD - MOMENT}, 1),
        ({"said_at": None, "first_seen_at": START}, 0),
        ({"said_at": START - UNHEARD - MOMENT, "stage": "queued"}, 1),
        ({"state": "done", "stage": "at_work", "at_work_since": LATE, "said_at": LONG_AGO}, 0),
        ({"state": "historic", "stage": "at_work", "at_work_since": LATE, "said_at": LONG_AGO}, 0),
    ],
)
async def test_which_jobs_are_overdue(database: Database, columns: dict[str, Any], overdue: int) -> None:
    """Two hours at work, or half an hour without a word; fal's queue may be long, but nobody waits at its front."""
    add_job(database, "r1", **columns)
    assert (await count(database)).overdue == overdue


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"state": "dead", "reason": "endpoint_unknown"}, {"dead": 1}),
        ({"state": "done", "outcome": "gone"}, {"gone": 1}),
        ({"state": "done", "outcome": "completed", "artifact": "absent"}, {"absent": 1}),
        ({"state": "done", "outcome": "completed", "artifact": "unverified"}, {}),
        ({"state": "done", "outcome": "superseded"}, {}),
    ],
)
async def test_what_ended_badly_alarms_for_a_day(
    database: Database, columns: dict[str, Any], expected: dict[str, Any]
) -> None:
    """Nobody can undo it, so the alert ends by itself a day later."""
    add_job(database, "new", finished_at=START - LATELY + MOMENT, **columns)
    add_job(database, "old", finished_at=START - LATELY, **columns)
    assert await count(database) == replace(NO_JOBS, **expected)


async def test_drifts_of_the_last_day(database: Database) -> None:
    """Jobs whose rows were set back within the day, and those of them for the third time."""
    for number, (drifts, ago) in enumerate([(1, 1), (3, 2), (7, 25)]):
        drifted_at = START - timedelta(hours=ago)
        add_job(database, f"r{number}", state="done", outcome="completed", drifts=drifts, drifted_at=drifted_at)
    facts = await count(database)
    assert (facts.drifted, facts.often_drifted) == (2, 1)


@pytest.mark.parametrize(
    ("reason", "figure"), [("account_locked", "locked"), ("fal_key_refused", "refused"), ("no_fal_key", "keyless")]
)
async def test_what_waits_for_the_key(database: Database, reason: str, figure: str) -> None:
    """Open jobs and pending deliveries count together; what has ended waits no more."""
    add_job(database, "r1", reason=reason)
    add_job(database, "r2", reason=reason, state="dead", finished_at=LONG_AGO)
    await database.write(inbox.put, [(delivery(name), START) for name in ("r3", "r4")])
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(reason=reason))
        transaction.execute(update(deliveries).where(deliveries.c.request_id == "r4").values(state="dead"))
    facts = await count(database)
    assert getattr(facts, figure) == 2
    assert facts.keyless_results == (1 if reason == "no_fal_key" else 0)


@pytest.mark.parametrize("header", ["r1", "attempt-2"])
@pytest.mark.parametrize("reason", ["account_locked", "fal_key_refused", "no_fal_key"])
async def test_a_job_whose_webhook_came_waits_for_no_key(database: Database, reason: str, header: str) -> None:
    """It was in vain that fal was asked last; now its delivery waits, for the bot perhaps, and fal is not asked."""
    add_job(database, "r1", reason=reason)
    await database.write(inbox.put, [(delivery(header), START)])
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(reason="orphan", fal_request_id="r1"))
    assert await count(database) == replace(NO_JOBS, by_stage={**NO_JOBS.by_stage, "new": 1})


async def test_open_jobs_stand_by_stage(database: Database) -> None:
    """`new` is what fal was not asked about yet."""
    for number, stage in enumerate([None, "queued", "at_work", "at_work", "gone"]):
        add_job(database, f"r{number}", stage=stage)
    add_job(database, "ended", state="done", stage="finished")
    assert (await count(database)).by_stage == {"new": 1, "queued": 1, "at_work": 2, "finished": 0, "gone": 1}


async def test_a_stage_of_a_newer_version_is_counted_as_it_is_called(database: Database) -> None:
    """A newer server beside us may know more stages: no page breaks."""
    add_job(database, "r1", stage="paused")
    assert (await count(database)).by_stage["paused"] == 1


async def test_deliveries_of_other_reasons_do_not_count(database: Database) -> None:
    """An orphan waits for the bot, not for a key."""
    row = delivery("r1")._asdict()
    names = ("request_id", "body", "body_sha256")
    moments = dict.fromkeys(("received_at", "stored_at", "last_received_at", "due_at"), START)
    with database.engine.begin() as transaction:
        values = {name: row[name] for name in names} | moments
        transaction.execute(
            insert(deliveries).values(state="pending", reason="orphan", headers="{}", source="webhook", **values)
        )
    assert await count(database) == NO_JOBS
