"""What never arrives is fetched: each of fal's answers, on both databases, with fal faked and the clock frozen."""

import asyncio
import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db import inbox, jobs, totals
from app.db.engine import Connection, Database, open_database
from app.db.jobs import Expected
from app.db.tables import deliveries
from app.db.trainings import BotTables
from app.domain.look import GRACE, SURE, UNSURE, Trouble, Unsaid
from app.domain.notification import Cause
from app.domain.training import Artifacts, Completed, Failed
from app.fal.payload import FalAnswer, read
from app.flows.intake import Intake
from app.flows.reconcile import REST
from tests.factories import LORA, Bot, delivery
from tests.fakes import START, FrozenClock
from tests.flows.asking import (
    AT_WORK,
    COMPLETED,
    DONE,
    DOWN,
    EVERY,
    NO_RESULT,
    NOT_FOUND,
    PORTRAIT,
    QUEUED,
    REFUSED,
    STYLE,
    TOO_EARLY,
    Desk,
    ScriptedFal,
    desk_of,
    reconcile_of,
    register_all,
)

pytestmark = pytest.mark.anyio

# What fal keeps for six minutes only: 10 KB and more (docs/fal.md).
LARGE = FalAnswer(200, {}, json.dumps({"diffusers_lora_file": {"url": LORA}, "notes": "t" * 10_240}).encode())


def bodies_of(connection: Connection) -> dict[str, bytes]:
    return {row[0]: row[1] for row in connection.execute(select(deliveries.c.request_id, deliveries.c.body))}


def artifacts_of(body: bytes) -> Artifacts:
    outcome = read(body).outcome
    assert isinstance(outcome, Completed)
    return outcome.artifacts


def cause_of(body: bytes) -> Cause:
    outcome = read(body).outcome
    assert isinstance(outcome, Failed)
    return outcome.cause


@pytest.fixture
def desk(database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock) -> Desk:
    return desk_of(database, bot_tables, bot, clock)


async def test_a_job_under_way_is_asked_about_once_per_interval(desk: Desk) -> None:
    """One question for the state, none for the result, and the next one after RECONCILE_EVERY."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = QUEUED
    assert await desk.reconcile() == 1
    assert await desk.look_again(EVERY - 1) == 0
    assert await desk.look_again(1) == 1
    assert desk.fal.questions() == ["status", "status"]
    job = await desk.job()
    assert (job["state"], job["stage"], job["position"], job["endpoint_source"]) == (
        "pending",
        "queued",
        7,
        "confirmed",
    )


async def test_a_finished_training_enters_the_inbox_as_its_webhook_would(desk: Desk) -> None:
    """COMPLETED, then after a moment for the webhook the result: a delivery in the webhook's form."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    desk.fal.said["result", PORTRAIT] = DONE
    await desk.reconcile()
    assert await desk.entered() == []
    await desk.look_again(GRACE.total_seconds())
    [(request_id, source, body)] = await desk.entered()
    assert (request_id, source, desk.woken) == ("r1", "reconcile", ["apply"])
    assert await desk.database.read(totals.read_done) == {"recovered.training": 1}
    assert artifacts_of(body).lora_url == LORA
    assert desk.fal.questions() == ["status", "result"]


async def test_two_looks_are_one_delivery(desk: Desk) -> None:
    """Times and metrics of the answer differ, its canonical form does not."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    bodies = set()
    for seconds in (1, 2):
        answer = {"diffusers_lora_file": {"url": LORA}, "timings": {"t": seconds}}
        desk.fal.said["result", PORTRAIT] = FalAnswer(200, {}, json.dumps(answer).encode())
        [finding] = await desk.reconcile.by_hand(["r1"])
        bodies.add(finding.body)
        await desk.database.write(lambda connection: connection.execute(deliveries.delete()) and None)
    assert len(bodies) == 1


async def test_completed_with_a_422_is_a_failure_with_its_cause(desk: Desk) -> None:
    """The queue says COMPLETED without any error; the result endpoint tells the failure."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    desk.fal.said["result", PORTRAIT] = REFUSED
    [finding] = await desk.reconcile.by_hand(["r1"])
    assert finding.body is not None
    assert cause_of(finding.body) == "no_face"


async def test_a_result_that_is_still_in_progress_is_waited_for(desk: Desk) -> None:
    """400 "still in progress" is neither a failure nor the end."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    desk.fal.said["result", PORTRAIT] = TOO_EARLY
    await desk.reconcile()
    await desk.look_again(GRACE.total_seconds())
    assert await desk.entered() == []
    assert (await desk.job())["state"] == "pending"


async def test_a_webhook_in_the_moment_of_grace_spares_the_question(desk: Desk) -> None:
    """The delivery is stored before the result is due to be fetched: fal is not asked for it."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    await desk.reconcile()
    await desk.database.write(inbox.put, [(delivery("r1"), desk.clock.at)])
    assert await desk.look_again(GRACE.total_seconds()) == 0
    assert desk.fal.questions() == ["status"]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (DOWN, "fal_down"),
        (Unsaid(Trouble.NO_FAL_KEY, "no key"), "no_fal_key"),
        (FalAnswer(401, {}, b'{"detail":"invalid key credentials"}'), "fal_key_refused"),
        (FalAnswer(403, {}, b'{"detail":"User is locked. Reason: Exhausted balance."}'), "account_locked"),
        (FalAnswer(429, {}, b"{}"), "rate_limited"),
        (FalAnswer(503, {}, b"<html>"), "fal_down"),
        (FalAnswer(200, {}, b""), "fal_odd"),
        (FalAnswer(200, {}, b'{"status":"DREAMING"}'), "fal_odd"),
        (FalAnswer(405, {}, b"{}"), "fal_odd"),
    ],
)
async def test_a_failed_look_is_not_a_failed_training(desk: Desk, answer: FalAnswer | Unsaid, reason: str) -> None:
    """Fault 28: whatever is wrong with asking, the job stays open, says why, and nothing enters the inbox."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = answer
    await desk.reconcile()
    job = await desk.job()
    assert (job["state"], job["reason"], job["failures"]) == ("pending", reason, 1)
    assert await desk.entered() == []


async def test_a_silent_fal_is_probed_by_one_question(desk: Desk) -> None:
    """Fault 57: after a turn in which fal said nothing the next one asks about one job alone, after a rest."""
    await desk.train(*(f"r{number}" for number in range(10)))
    desk.fal.said["status", PORTRAIT] = DOWN
    assert await desk.reconcile() == 10
    assert await desk.look_again(1) == 0
    desk.fal.asked.clear()
    await desk.look_again(REST.total_seconds())
    assert len(desk.fal.asked) == 1
    desk.fal.said["status", PORTRAIT] = QUEUED
    await desk.look_again(REST.total_seconds())
    desk.fal.asked.clear()
    assert await desk.reconcile() == 8  # all but the two that were asked about alone


async def test_a_wrong_guess_is_corrected(desk: Desk) -> None:
    """404 at the guessed endpoint: the others are tried, and the one that knows the job is kept."""
    await desk.train("r1")
    desk.fal.said["status", STYLE] = QUEUED
    await desk.reconcile()
    job = await desk.job()
    assert (job["endpoint"], job["endpoint_source"], job["state"]) == (STYLE, "confirmed", "pending")


async def test_a_guess_that_nobody_knows_is_the_operators(desk: Desk) -> None:
    """404 everywhere under a guess never means gone: no owner is told, the job is set aside as endpoint_unknown."""
    await desk.train("r1")
    await desk.reconcile()
    await desk.look_again(SURE.total_seconds())
    job = await desk.job()
    assert (job["state"], job["reason"], job["outcome"]) == ("dead", "endpoint_unknown", None)
    assert await desk.entered() == []
    assert {(what, endpoint) for what, endpoint, _ in desk.fal.asked} == {
        (what, endpoint) for what in ("status", "listed") for endpoint in (PORTRAIT, STYLE)
    }


async def test_gone_is_said(desk: Desk) -> None:
    """Fault 56: a job that neither queue nor list knows, for SURE, enters the inbox as a failure: result_gone."""
    await desk.bot.train("r1")
    await desk.register("r1")
    await desk.reconcile()
    assert await desk.entered() == []
    await desk.look_again(SURE.total_seconds())
    [(_, source, body)] = await desk.entered()
    assert (source, cause_of(body)) == ("reconcile", "result_gone")


async def test_a_list_that_lags_costs_no_result(desk: Desk) -> None:
    """A result that neither queue nor list has for a moment is found by the second look, and nobody hears of a loss."""
    await desk.bot.train("r1")
    await desk.register("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    await desk.reconcile()
    await desk.look_again(GRACE.total_seconds())
    assert desk.fal.questions() == ["status", "result", "listed"]
    desk.fal.said["result", PORTRAIT] = DONE
    await desk.look_again(SURE.total_seconds())
    [(_, _, body)] = await desk.entered()
    assert artifacts_of(body).lora_url == LORA


@pytest.mark.parametrize("is_finished", [False, True])
async def test_gone_is_said_even_when_the_list_cannot_be_had(desk: Desk, *, is_finished: bool) -> None:
    """The list is asked for UNSURE; then the owner hears, within five minutes, though fal says that it is finished."""
    await desk.bot.train("r1")
    await desk.register("r1")
    desk.fal.said["listed", PORTRAIT] = DOWN
    if is_finished:
        desk.fal.said["status", PORTRAIT] = COMPLETED
    began = desk.clock.at
    while not await desk.entered():
        assert desk.clock.at - began <= UNSURE + REST
        await desk.look_again(10)
    assert desk.clock.at - began >= UNSURE
    assert desk.clock.at - began <= timedelta(minutes=5)


async def test_the_list_saves_a_result_that_the_queue_forgot(desk: Desk) -> None:
    """404 at the queue, but the list holds the payload: that is the result."""
    await desk.bot.train("r1")
    await desk.register("r1")
    item = {
        "request_id": "r1",
        "endpoint_id": PORTRAIT,
        "ended_at": "2026-11-22T12:00:00Z",
        "status_code": 200,
        "json_output": {"diffusers_lora_file": {"url": LORA}},
    }
    listed = json.dumps({"items": [item], "has_more": False, "next_cursor": None}).encode()
    desk.fal.said["listed", PORTRAIT] = FalAnswer(200, {}, listed)
    await desk.reconcile()
    [(_, _, body)] = await desk.entered()
    assert artifacts_of(body).lora_url == LORA


async def test_a_job_whose_row_began_anew_ends_silently(desk: Desk) -> None:
    """No row carries the request id any more: superseded, without a question and without a word."""
    await desk.expect("r1")
    await desk.reconcile()
    job = await desk.job()
    assert (job["state"], job["reason"], job["outcome"], desk.fal.asked) == ("done", "superseded", "superseded", [])


async def test_a_registered_job_waits_for_its_row(desk: Desk) -> None:
    """The bot may register before it commits: only after ORPHAN_HOURS the job is superseded."""
    await desk.register("r1")
    desk.fal.said["status", PORTRAIT] = QUEUED
    await desk.reconcile()
    assert (await desk.job())["state"] == "pending"
    await desk.look_again(24 * 3600)
    assert (await desk.job())["reason"] == "superseded"


async def test_a_historic_job_is_asked_about_by_hand(desk: Desk) -> None:
    """Never by itself; by name at once."""
    await desk.bot.train("r1")
    await desk.expect("r1", is_historic=True)
    desk.fal.said["status", PORTRAIT] = COMPLETED
    desk.fal.said["result", PORTRAIT] = DONE
    assert await desk.look_again(1e6) == 0
    await desk.reconcile.by_hand(["r1"])
    assert len(await desk.entered()) == 1


async def test_a_result_that_changed_nothing_before_is_not_entered_for_ever(desk: Desk) -> None:
    """The same result lies in the inbox, ended: the job is the operator's."""
    await desk.train("r1")
    desk.fal.said["status", PORTRAIT] = COMPLETED
    desk.fal.said["result", PORTRAIT] = DONE
    await desk.reconcile.by_hand(["r1"])
    await desk.database.write(lambda connection: connection.execute(deliveries.update().values(state="dead")) and None)
    desk.clock.move(120)
    await desk.reconcile.by_hand(["r1"])
    job = await desk.job()
    assert (job["state"], job["reason"]) == ("dead", "entered_before")


async def test_two_replicas_ask_once(desk: Desk, database_url: str, bot_tables: BotTables) -> None:
    """Two servers on one database take their turns at the same moments: each job is asked about once a turn."""
    names = [f"r{number}" for number in range(40)]
    await desk.train_many(names)
    desk.fal.said["status", PORTRAIT] = QUEUED
    database = open_database(database_url)
    other = reconcile_of(database, bot_tables, desk.fal, desk.clock)
    try:
        for turn in (1, 2):
            taken = 0
            while now := sum(await asyncio.gather(desk.reconcile(), other())):
                taken += now
            assert taken == len(names)
            assert sorted(desk.fal.asked) == sorted(("status", PORTRAIT, name) for name in names * turn)
            desk.clock.move(EVERY)
    finally:
        await database.close()


async def test_the_budget_bounds_all_replicas(desk: Desk) -> None:
    """However many jobs are due, fal is asked at most 25 times a second and twice that at once."""
    await desk.database.write(
        jobs.expect,
        [Expected(f"r{number}", "a", PORTRAIT, is_historic=False) for number in range(200)],
        now=START,
        due_at=START,
    )
    await desk.bot.train_many([f"r{number}" for number in range(200)])
    desk.fal.said["status", PORTRAIT] = QUEUED
    taken = [await desk.reconcile() for _ in range(6)]
    assert sum(taken) <= 50
    desk.clock.move(1)
    assert sum([await desk.reconcile() for _ in range(6)]) <= 25


class ForgetfulFal(ScriptedFal):
    """Keeps each result of 10 KB for six minutes after its end, as fal does (docs/fal.md)."""

    def __init__(self, clock: FrozenClock, ends: dict[str, timedelta]) -> None:
        super().__init__()
        self._clock, self._ends = clock, {request_id: START + end for request_id, end in ends.items()}

    def _is_kept(self, request_id: str) -> bool:
        return self._clock.at < self._ends[request_id] + timedelta(minutes=6)

    async def status(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        if self._clock.at < self._ends[request_id]:
            return AT_WORK
        return COMPLETED if self._is_kept(request_id) else NOT_FOUND

    async def result(self, endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
        return LARGE if self._is_kept(request_id) else NO_RESULT


@pytest.mark.parametrize("minutes", [6, 60, 120])
async def test_after_an_outage_nothing_retrievable_is_lost(
    database: Database, bot_tables: BotTables, bot: Bot, clock: FrozenClock, *, minutes: int
) -> None:
    """Fault 29: 40 large results end around an outage of ours; what fal still has is fetched, the rest is said.

    No webhook comes. Jobs end at even intervals from a minute before the outage until five minutes after it.
    """
    began, length = timedelta(minutes=2), timedelta(minutes=minutes)
    apart = (length + timedelta(minutes=6)) / 40
    ends = {f"r{number:02}": timedelta(minutes=1) + number * apart for number in range(40)}
    fal = ForgetfulFal(clock, ends)
    every = timedelta(seconds=EVERY)
    reconcile = reconcile_of(database, bot_tables, fal, clock)
    intake = Intake(
        database, bot_tables, clock, endpoint_of=lambda _: PORTRAIT, after=every, every=every, wake=lambda: None
    )
    await bot.train_many(list(ends))
    await register_all(database, list(ends), clock)
    back = START + began + length
    while clock.at < back + timedelta(minutes=12):
        if not began <= clock.at - START < began + length:
            await intake()
            while await reconcile():
                pass
        clock.move(10)
    entered = await database.read(bodies_of)
    kept = [
        request_id
        for request_id, end in ends.items()
        if START + end + timedelta(minutes=6) > back + timedelta(seconds=30) or end < began - timedelta(seconds=90)
    ]
    assert len(kept) >= 240 / apart.total_seconds()  # those of the last six minutes and of the time after it
    for request_id in kept:
        assert len(entered[request_id]) > 10_240
        assert artifacts_of(entered[request_id]).lora_url == LORA, request_id
    lost = [request_id for request_id in ends if len(entered[request_id]) < 10_240]
    assert [cause_of(entered[request_id]) for request_id in lost] == ["result_gone"] * len(lost)
    assert (len(lost) > len(ends) / 2) is (minutes > 6)
