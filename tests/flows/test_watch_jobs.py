"""What an operator hears of jobs: within five minutes, and no more once it is over."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.db.engine import Database
from app.db.tables import jobs
from app.domain.job_alarms import AT_WORK_LATE, LATELY
from tests.fakes import FrozenClock
from tests.flows.test_watch import Machine
from tests.job_facts import add_job

pytestmark = pytest.mark.anyio

WITHIN = 5  # minutes in which the operator must have heard
CALM = 7  # looks after which what is gone has ended


@pytest.fixture
def machine(database: Database, clock: FrozenClock) -> Machine:
    return Machine(database, clock)


def change(database: Database, **values: Any) -> None:
    with database.engine.begin() as transaction:
        transaction.execute(update(jobs).values(values))


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"reason": "account_locked"}, ("account_locked", "critical")),
        ({"reason": "fal_key_refused"}, ("fal_key_refused", "critical")),
        ({"reason": "no_fal_key"}, ("fal_key_missing", "warn")),
    ],
)
async def test_a_key_that_fails_is_told_and_its_end_as_well(
    machine: Machine, columns: dict[str, Any], told: tuple[str, str]
) -> None:
    """An open job waits for key or account: the operator hears within five minutes, and again when it goes on."""
    add_job(machine.database, "r1", seen=machine.clock.at + timedelta(hours=1), **columns)
    await machine.looks(WITHIN)
    assert await machine.told() == [("alert", *told)]
    change(machine.database, reason=None)
    await machine.looks(CALM)
    assert await machine.told() == [("alert", *told), ("resolved", *told)]


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"outcome": "gone"}, "results_gone"),
        ({"outcome": "completed", "artifact": "absent"}, "artifact_absent"),
        ({"state": "dead", "reason": "endpoint_unknown"}, "jobs_overdue"),
    ],
)
async def test_what_nobody_can_undo_ends_after_a_day(machine: Machine, columns: dict[str, Any], name: str) -> None:
    """Told once; a day later the alert is over without anybody's doing."""
    add_job(machine.database, "r1", finished_at=machine.clock.at, **{"state": "done", **columns})
    await machine.looks(WITHIN)
    assert await machine.told() == [("alert", name, "warn")]
    machine.clock.move(LATELY.total_seconds())
    await machine.looks(CALM)
    assert await machine.told() == [("alert", name, "warn"), ("resolved", name, "warn")]


async def test_a_training_that_hangs_is_told_until_it_ends(machine: Machine) -> None:
    """Two hours at work and a few minutes: told; the result comes: over."""
    since = machine.clock.at - AT_WORK_LATE
    later = machine.clock.at + timedelta(hours=1)
    add_job(machine.database, "r1", seen=later, stage="at_work", at_work_since=since)
    await machine.looks(WITHIN)
    assert await machine.told() == [("alert", "jobs_overdue", "warn")]
    change(machine.database, state="done", outcome="completed", finished_at=machine.clock.at)
    await machine.looks(CALM)
    assert [kind for kind, _, _ in await machine.told()] == ["alert", "resolved"]


async def test_a_long_queue_at_fal_is_not_told(machine: Machine) -> None:
    """A job that only waits in fal's queue is not late."""
    later = machine.clock.at + timedelta(hours=1)
    add_job(machine.database, "r1", seen=later, stage="queued", first_seen_at=machine.clock.at - timedelta(days=2))
    await machine.looks(WITHIN)
    assert await machine.told() == []


async def test_rows_set_back_thrice_are_told_as_drift_and_poller(machine: Machine) -> None:
    """The operator hears that the bot fights us, and which of its parts does (faults 53, 54)."""
    add_job(machine.database, "r1", state="done", outcome="completed", drifts=3, drifted_at=machine.clock.at)
    await machine.looks(WITHIN)
    assert {name for _, name, _ in await machine.told()} == {"drift", "poller_seen"}


async def test_an_invented_artifact_at_work_is_told(machine: Machine) -> None:
    """The bot's poller wrote an artifact into the row of an open job: told before fal says anything (fault 54)."""
    machine.invented = 1
    await machine.looks(WITHIN)
    assert await machine.told() == [("alert", "poller_seen", "warn")]
