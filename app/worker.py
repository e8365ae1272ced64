"""One worker: its jobs run beside each other until stopped, each step on its own schedule."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

import structlog

from app.bootstrap.services import Work
from app.domain.errors import DatabaseUnavailable
from app.flows.progress import EVERY as PROGRESS_EVERY
from app.flows.reconcile import BATCH as RECONCILE_BATCH
from app.flows.steps import UNWATCHED, Watched

LINGER = 0.02  # s between two turns under load, so that more rows share one commit
GATHER = 2.0  # s between two turns that ask fal: a job more or less early costs nothing, a turn does
COURTESY = 0.1  # s of one pause of a job while deliveries crowd in
COURTESIES = 20  # pauses at most before its turn
BACKLOG = 50  # rows in one turn from which on the next turn follows without LINGER
REFRESH_EVERY = 3600.0  # s between looks at fal's keys and addresses; keys serve for a day
REFRESH_AGAIN = 30.0  # s until the next try after a failed look
CHORES_EVERY = 60.0  # s between looks whether a chore is due
UNWOKEN = 20.0  # s after which a job takes a turn that nobody asked for
DIRECT_EVERY = timedelta(seconds=15)  # between two looks whether alerts have their way
STUCK = timedelta(seconds=60)  # a step that shows no life for longer is stuck

log = structlog.get_logger(__name__)

Turn = Callable[[], Awaitable[float]]

FIRST_PAUSE = 0.5  # s after the first failure in a row; doubles up to LONGEST_PAUSE
LONGEST_PAUSE = 15.0


@dataclass(slots=True)
class Routine:
    """A step that is repeated. It returns the seconds until its next turn; `wake` cuts the wait short.

    `patience` is how long a step may give no sign of life before it is cut off; its end is one. `apart` is how long (s)
    the next turn waits whatever wakes it, unless the step wants it at once.
    """

    name: str
    step: Turn
    patience: timedelta
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    apart: float = 0.0
    last_turn: float | None = None
    limit: asyncio.Timeout | None = None  # of the turn under way
    was_cut: bool = False


class Worker:
    """Runs the jobs and knows whether they are alive; `steps` is told which of them fail."""

    def __init__(
        self,
        jobs: Sequence[Routine],
        elapsed: Callable[[], float] = time.monotonic,
        steps: Watched = UNWATCHED,
    ) -> None:
        self._jobs = jobs
        self._steps = steps
        self._elapsed = elapsed  # monotonic seconds: setting the clock must not make a job look stuck
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Run every job until `stop`; a step under way is finished first."""
        async with asyncio.TaskGroup() as group:
            for job in self._jobs:
                group.create_task(self._repeat(job), name=f"job:{job.name}")

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()
        for job in self._jobs:
            job.wake.set()

    def is_alive(self) -> bool:
        """Tell whether every job has had its turn lately (or has not begun yet)."""
        now = self._elapsed()
        return all(job.last_turn is None or now - job.last_turn < job.patience.total_seconds() for job in self._jobs)

    def note_life(self, job: Routine) -> None:
        """Note a sign of life of this job: its patience begins anew."""
        job.last_turn = self._elapsed()
        if job.limit is not None and not job.limit.expired():
            job.limit.reschedule(asyncio.get_running_loop().time() + job.patience.total_seconds())

    @classmethod
    def of(cls, work: Work, poll_interval: float) -> "Worker":
        """Make the jobs of one process."""
        courteous = partial(_courteous, work.is_crowded)
        fetch_patience = timedelta(seconds=2 * REFRESH_EVERY)
        apply = Routine("apply", courteous(_draining(work.apply)), STUCK, work.apply_wake)
        worker = cls(
            [
                Routine(
                    "poll",
                    _every(timedelta(seconds=poll_interval), work.poll),
                    STUCK + timedelta(seconds=poll_interval),
                ),
                apply,
                Routine("notify", courteous(_draining(work.notify)), STUCK, work.notify_wake),
                Routine("intake", _every(work.intake.every, work.intake), timedelta(minutes=10)),
                Routine("reconcile", _gathering(work.reconcile), STUCK, work.reconcile_wake, apart=GATHER),
                Routine("progress", _every(PROGRESS_EVERY, work.progress), timedelta(minutes=10)),
                Routine("prune", _unhurried(work.prune), timedelta(hours=1)),
                Routine("recount", _unhurried(work.recount), timedelta(hours=1)),
                Routine("watch", _unhurried(work.watch), timedelta(minutes=10)),
                Routine("digest", _unhurried(work.digest), timedelta(minutes=10)),
                Routine("ping", _unhurried(work.ping), timedelta(minutes=10)),
                Routine("artifacts", _unhurried(work.look_again), timedelta(minutes=10)),
                Routine("promises", _unhurried(work.promises), timedelta(minutes=10)),
                Routine("drift", _every(work.mend.every, work.mend), timedelta(minutes=10)),
                Routine("keys", _refreshing(work.keys.refresh), fetch_patience),
                Routine("addresses", _refreshing(work.addresses.refresh), fetch_patience),
                Routine("direct", _every(DIRECT_EVERY, work.direct), timedelta(minutes=2)),
            ],
            steps=work.steps,
        )
        work.apply.on_progress = partial(worker.note_life, apply)  # one step may wait out an outage of the database
        return worker

    async def _repeat(self, job: Routine) -> None:
        failures = 0
        while not self._stopping.is_set():
            try:
                wait = await self._take_turn(job)
            except DatabaseUnavailable as error:
                wait = self._pause(failures)
                failures += 1
                self._steps.failed(job.name, error)
                log.warning("worker.database_unavailable", job=job.name, cause=str(error), retry_in=wait)
            except Exception as error:  # a bug of one job must end neither that job nor the others
                wait = self._pause(failures)
                failures += 1
                if job.was_cut:
                    self._steps.hung(job.name)
                else:
                    self._steps.failed(job.name, error)
                log.exception("worker.step_failed", job=job.name, retry_in=wait)
            else:
                failures = 0
                self._steps.worked(job.name)
            self.note_life(job)
            if failures:
                await self._rest(wait)
                continue
            if wait and job.apart:
                await self._rest(job.apart)
            await self._wait(job, wait)

    async def _take_turn(self, job: Routine) -> float:
        """Take one turn; one that gives no sign of life for the job's patience is cut off, so that none hangs."""
        limit = asyncio.timeout(None)
        try:
            async with limit:
                job.limit = limit
                self.note_life(job)
                return await job.step()
        finally:
            job.limit, job.was_cut = None, limit.expired()

    async def _rest(self, seconds: float) -> None:
        """Keep the pause after a failure, whatever wakes the job meanwhile; its turn follows at the end of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _wait(self, job: Routine, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await job.wake.wait()
        except TimeoutError:
            return
        job.wake.clear()

    @staticmethod
    def _pause(failures: int) -> float:
        return min(FIRST_PAUSE * 2.0 ** min(failures, 10), LONGEST_PAUSE)


def _every(interval: timedelta, flow: Callable[[], Awaitable[object]]) -> Turn:
    async def step() -> float:
        await flow()
        return interval.total_seconds()

    return step


def _draining(flow: Callable[[], Awaitable[int]]) -> Turn:
    """Take turns quickly while there is work, else when woken."""

    async def step() -> float:
        taken = await flow()
        if not taken:
            return UNWOKEN
        if taken < BACKLOG:
            await asyncio.sleep(LINGER)
        return 0.0

    return step


def _gathering(flow: Callable[[], Awaitable[int]]) -> Turn:
    """Take turns quickly only while each is full: what comes in one by one shares the cost of one turn."""

    async def step() -> float:
        return 0.0 if await flow() >= RECONCILE_BATCH else UNWOKEN

    return step


def _courteous(is_crowded: Callable[[], bool], step: Turn) -> Turn:
    """While deliveries crowd in let their commits go first; a turn is put off by a bounded time."""

    async def courteous_step() -> float:
        for _ in range(COURTESIES):
            if not is_crowded():
                break
            await asyncio.sleep(COURTESY)
        return await step()

    return courteous_step


def _unhurried(chore: Callable[[], Awaitable[int]]) -> Turn:
    async def step() -> float:
        await chore()
        return CHORES_EVERY

    return step


def _refreshing(refresh: Callable[[], Awaitable[bool]]) -> Turn:
    async def step() -> float:
        return REFRESH_EVERY if await refresh() else REFRESH_AGAIN

    return step
