"""The worker's jobs: each on its own schedule, woken, backing off, seen to be alive."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app import worker as module
from app.bootstrap.services import Work
from app.db.reasons import reason_of
from app.domain.errors import DatabaseUnavailable
from app.flows.reconcile import BATCH as RECONCILE_BATCH
from app.flows.steps import UNWATCHED, Steps
from app.worker import BACKLOG, CHORES_EVERY, REFRESH_AGAIN, REFRESH_EVERY, STUCK, UNWOKEN, Routine, Worker
from tests.fakes import FrozenClock

pytestmark = pytest.mark.anyio

HOUR = 3600.0
WITHIN = 10  # s on a busy machine


@dataclass
class Step:
    """A step that does what it was told to, then nothing for an hour; tells how often it was called."""

    answers: list[float | Exception] = field(default_factory=list)
    turns: int = 0
    _turn: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> float:
        self.turns += 1
        self._turn.set()
        answer = self.answers.pop(0) if self.answers else HOUR
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def had(self, turns: int) -> None:
        async with asyncio.timeout(WITHIN):
            while self.turns < turns:
                self._turn.clear()
                await self._turn.wait()


@asynccontextmanager
async def running(worker: Worker) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker.stop()
        async with asyncio.timeout(WITHIN):
            await task


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the jobs wait between their turns; the waits themselves are skipped."""
    waited: list[float] = []

    async def wait(_worker: Worker, _job: Routine, seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0 if seconds < HOUR else seconds)

    async def rest(worker: Worker, seconds: float) -> None:
        await wait(worker, cast("Routine", None), seconds)

    monkeypatch.setattr(Worker, "_wait", wait)
    monkeypatch.setattr(Worker, "_rest", rest)
    return waited


async def stopped_after(step: Step, turns: int) -> None:
    task = asyncio.create_task(Worker([Routine("j", step, STUCK)]).run())
    await step.had(turns)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_woken_job_takes_its_turn_at_once() -> None:
    """Not at the end of its hour; and a wake-up counts once."""
    step = Step()
    job = Routine("j", step, STUCK)
    async with running(Worker([job])):
        for turn in (1, 2, 3):
            await step.had(turn)
            job.wake.set()
    assert 3 <= step.turns <= 4


async def test_a_job_that_is_woken_during_its_turn_takes_another() -> None:
    """What arrives after the look is not left until the next poll."""
    wakes: list[Callable[[], None]] = []
    step = Step()

    async def busy() -> float:
        if not step.turns:
            wakes[0]()
        return await step()

    job = Routine("j", busy, STUCK)
    wakes.append(job.wake.set)
    async with running(Worker([job])):
        await step.had(2)


async def test_jobs_do_not_wait_for_each_other() -> None:
    """One that hangs leaves the others their turns."""
    never = asyncio.Event()

    async def hang() -> float:
        await never.wait()
        return HOUR

    step = Step([0.0, 0.0])
    async with running(Worker([Routine("hang", hang, STUCK), Routine("j", step, STUCK)])):
        await step.had(3)
        never.set()


async def test_a_step_under_way_is_finished_before_the_end() -> None:
    """`stop` interrupts no step; `run` returns after it."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    finished: list[str] = []

    async def step() -> float:
        begun.set()
        await go_on.wait()
        finished.append("step")
        return HOUR

    worker = Worker([Routine("j", step, STUCK)])
    task = asyncio.create_task(worker.run())
    await begun.wait()
    worker.stop()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    async with asyncio.timeout(WITHIN):
        await task
    assert finished == ["step"]


async def test_a_job_that_rests_ends_at_once() -> None:
    """Nobody waits an hour for a worker to stop."""
    step = Step()
    async with running(Worker([Routine("j", step, STUCK)])):
        await step.had(1)
    assert step.turns == 1


async def test_a_worker_stopped_before_it_began_does_nothing() -> None:
    """The order of start and stop does not matter."""
    step = Step()
    worker = Worker([Routine("j", step, STUCK)])
    worker.stop()
    await worker.run()
    assert step.turns == 0


@pytest.mark.parametrize("trouble", [DatabaseUnavailable("down"), ZeroDivisionError()])
async def test_failures_in_a_row_are_met_with_ever_longer_pauses(trouble: Exception, pauses: list[float]) -> None:
    """From half a second, doubled, up to 15 s: healed well within a minute of the database's return (I6)."""
    step = Step([trouble] * 8)
    await stopped_after(step, 9)
    assert pauses[:8] == [0.5, 1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize("trouble", [DatabaseUnavailable("down"), ZeroDivisionError()])
async def test_the_announced_pause_is_kept_whatever_wakes_the_job(trouble: Exception) -> None:
    """A webhook, a NOTIFY or a replica that wakes a failing step every moment gains no turn; a stop does (fault 59)."""
    step = Step([trouble, trouble, trouble])
    job = Routine("j", step, STUCK)
    loop = asyncio.get_running_loop()
    async with running(Worker([job])):
        began = loop.time()
        while loop.time() - began < module.FIRST_PAUSE - 0.2:  # a busy machine sleeps longer than it is asked to
            assert step.turns <= 1
            job.wake.set()
            await asyncio.sleep(0.02)
        await step.had(2)
        assert loop.time() - began >= module.FIRST_PAUSE
        job.wake.set()


async def test_a_step_that_fails_again_and_again_is_named_until_it_works() -> None:
    """Three failures in a row over ten seconds are no passing trouble; one turn that works ends it (I9)."""
    clock = FrozenClock()
    steps = Steps(clock, reason_of)

    def failing() -> list[tuple[str, str, int]]:
        return [(trouble.step, trouble.why(str), trouble.times) for trouble in steps.failing()]

    async def turn() -> float:
        clock.move(6)
        return await step()

    step = Step([KeyError("x")] * 3)
    job = Routine("recount", turn, STUCK)
    worker = Worker([job], clock.elapsed, steps)
    seen: list[list[tuple[str, str, int]]] = []

    async def rest(_seconds: float) -> None:
        seen.append(failing())

    worker._rest = rest  # type: ignore[method-assign,assignment]
    async with running(worker):
        await step.had(4)
        await asyncio.sleep(0)
    assert seen == [[], [], [("recount", "an error of the program (KeyError)", 3)]]
    assert failing() == []


async def test_a_step_that_hangs_is_cut_off_and_named() -> None:
    """Without a sign of life for its patience a turn ends as a failure, and the step counts as failing at once."""
    steps = Steps(FrozenClock(), reason_of)
    turns: list[None] = []

    async def hang() -> float:
        turns.append(None)
        await asyncio.Event().wait()
        return HOUR

    cut = asyncio.Event()
    worker = Worker([Routine("poll", hang, timedelta(milliseconds=20))], steps=steps)

    async def rest(_seconds: float) -> None:
        cut.set()
        await worker._stopping.wait()

    worker._rest = rest  # type: ignore[method-assign,assignment]
    async with running(worker):
        async with asyncio.timeout(WITHIN):
            await cut.wait()
        assert [(trouble.step, trouble.reason) for trouble in steps.failing()] == [("poll", "silent")]
    assert len(turns) == 1


async def test_a_success_forgets_the_failures(pauses: list[float]) -> None:
    """The next failure begins with the shortest pause again."""
    step = Step([DatabaseUnavailable("down"), DatabaseUnavailable("down"), 7.0, DatabaseUnavailable("down")])
    await stopped_after(step, 5)
    assert pauses[:4] == [0.5, 1, 7, 0.5]


async def test_a_bug_in_one_job_costs_the_others_nothing(pauses: list[float]) -> None:
    """The loop survives what a step raises, whatever it is."""
    bad, good = Step([ZeroDivisionError(), KeyError("x")]), Step([0.0] * 5)
    task = asyncio.create_task(Worker([Routine("bad", bad, STUCK), Routine("good", good, STUCK)]).run())
    await bad.had(3)
    await good.had(6)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_worker_that_has_not_begun_counts_as_alive() -> None:
    """A start is not an outage."""
    assert Worker([Routine("j", Step(), STUCK)]).is_alive()


async def test_a_step_that_takes_too_long_is_seen(clock: FrozenClock) -> None:
    """After its patience a job counts as stuck, and as alive again with its next turn."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> float:
        begun.set()
        await go_on.wait()
        return HOUR

    job = Routine("slow", slow, STUCK)
    worker = Worker([job], clock.elapsed)
    async with running(worker):
        await begun.wait()
        clock.move(59.9)
        assert worker.is_alive()
        clock.move(0.1)
        assert not worker.is_alive()
        begun.clear()
        go_on.set()
        job.wake.set()
        await begun.wait()
        assert worker.is_alive()


async def test_each_job_has_its_own_patience(clock: FrozenClock) -> None:
    """One that rests for an hour is not dead meanwhile; one stuck job is enough to say no."""
    jobs = [Routine("a", Step(), STUCK), Routine("b", Step(), timedelta(hours=2))]
    worker = Worker(jobs, clock.elapsed)
    jobs[0].last_turn = jobs[1].last_turn = clock.elapsed()
    clock.move(30)
    assert worker.is_alive()
    clock.move(30)
    assert not worker.is_alive()
    jobs[0].last_turn = clock.elapsed()
    assert worker.is_alive()


@pytest.mark.parametrize(("looks", "steps_aside"), [(0, 0), (3, 3), (10**6, module.COURTESIES)])
async def test_in_a_flood_a_job_steps_aside_but_not_for_long(
    looks: int, steps_aside: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries that wait for their answer go first; the turn comes all the same."""
    rested: list[float] = []

    async def sleep(seconds: float) -> None:
        rested.append(seconds)

    crowded = iter([True] * looks)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert await module._courteous(lambda: next(crowded, False), Step([2.5]))() == 2.5
    assert rested == [module.COURTESY] * steps_aside


@pytest.mark.parametrize(("taken", "wait"), [(0, UNWOKEN), (1, 0.0), (BACKLOG - 1, 0.0), (BACKLOG, 0.0)])
async def test_work_is_followed_by_another_look_at_once(
    taken: int, wait: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty turn waits to be woken; a small catch lingers, so that more can gather; a full one does not."""
    lingered: list[float] = []

    async def sleep(seconds: float) -> None:
        lingered.append(seconds)

    async def flow() -> int:
        return taken

    monkeypatch.setattr(asyncio, "sleep", sleep)
    assert await module._draining(flow)() == wait
    assert lingered == ([module.LINGER] if 0 < taken < BACKLOG else [])


@pytest.mark.parametrize(("taken", "wait"), [(0, UNWOKEN), (RECONCILE_BATCH - 1, UNWOKEN), (RECONCILE_BATCH, 0.0)])
async def test_jobs_are_gathered_unless_a_turn_was_full(taken: int, wait: float) -> None:
    """What is due one by one shares the cost of a turn; a backlog is worked off without a pause."""

    async def flow() -> int:
        return taken

    assert await module._gathering(flow)() == wait


async def test_turns_of_a_gathering_job_are_apart_whatever_wakes_it() -> None:
    """A wake between two turns is kept for the next one, which does not come sooner."""
    step = Step([UNWOKEN])
    job = Routine("j", step, STUCK, apart=0.2)
    loop = asyncio.get_running_loop()
    async with running(Worker([job])):
        began = loop.time()
        await step.had(1)
        job.wake.set()
        await step.had(2)
        assert loop.time() - began >= 0.2


async def test_the_queues_are_polled_at_the_poll_interval() -> None:
    """POLL_INTERVAL is the longest that a row no wake-up told of stays unseen."""
    polls: list[None] = []

    async def poll() -> None:
        polls.append(None)

    assert await module._every(timedelta(seconds=2.5), poll)() == 2.5
    assert polls == [None]


async def test_chores_and_refreshes_keep_their_own_rhythm() -> None:
    """A chore is looked at every minute; what could not be fetched is asked for again soon."""

    async def chore() -> int:
        return 5

    async def fetched() -> bool:
        return True

    async def failed() -> bool:
        return False

    assert await module._unhurried(chore)() == CHORES_EVERY
    assert await module._refreshing(fetched)() == REFRESH_EVERY
    assert await module._refreshing(failed)() == REFRESH_AGAIN


async def test_a_step_that_shows_life_is_not_stuck(clock: FrozenClock) -> None:
    """However long a step takes, each sign of life begins its patience anew; without one it is stuck as ever."""
    job = Routine("long", Step(), STUCK)
    worker = Worker([job], clock.elapsed)
    worker.note_life(job)
    clock.move(59)
    worker.note_life(job)
    clock.move(59)
    assert worker.is_alive()
    clock.move(1)
    assert not worker.is_alive()


def jobs_of(poll_interval: float) -> tuple[Any, Worker]:
    """What a process runs, made of services that are never called."""
    services = SimpleNamespace(
        apply=SimpleNamespace(),
        keys=SimpleNamespace(refresh=None),
        addresses=SimpleNamespace(refresh=None),
        intake=SimpleNamespace(every=timedelta(seconds=15)),
        apply_wake=asyncio.Event(),
        notify_wake=asyncio.Event(),
        reconcile_wake=asyncio.Event(),
        steps=UNWATCHED,
        direct=None,
        mend=SimpleNamespace(every=timedelta(seconds=60)),
        **dict.fromkeys(
            (
                "poll",
                "notify",
                "prune",
                "recount",
                "watch",
                "reconcile",
                "look_again",
                "is_crowded",
                "progress",
                "promises",
                "digest",
                "ping",
            )
        ),
    )
    return services, Worker.of(cast("Work", services), poll_interval)


def test_applying_shows_life_for_its_own_job() -> None:
    """What apply does while it waits out an outage counts for the job that it runs in, and for no other."""
    services, worker = jobs_of(1.0)
    services.apply.on_progress()
    assert [job.name for job in worker._jobs if job.last_turn is not None] == ["apply"]


def test_the_longest_poll_interval_is_no_hang() -> None:
    """With POLL_INTERVAL=60 a poll that rests for a minute, and then takes its time, is not stuck."""
    _, worker = jobs_of(60.0)
    [poll] = [job for job in worker._jobs if job.name == "poll"]
    assert poll.patience == timedelta(seconds=60) + STUCK
