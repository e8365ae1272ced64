"""Jobs that are due → fal is asked → what it says enters the inbox, as a webhook would have.

A look changes no subject itself: what it finds is one more delivery, applied as every other is.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta

import structlog

from app.db import events, inbox, job_lists, jobs, pacing, totals
from app.db.engine import Connection, Database
from app.db.jobs import Looked
from app.db.trainings import BotTables
from app.domain.delivery import Delivery, Source
from app.domain.errors import ClaimLost
from app.domain.history import Event, EventKind
from app.domain.job import JobKind, JobOutcome, JobState
from app.domain.look import End, OpenJob, Pace, Trouble, Unsaid, Wait, after_status
from app.flows.ask import JobLook, ask_about
from app.flows.ports import Clock, FalQueue
from app.flows.steps import UNWATCHED, Watched

log = structlog.get_logger("app.webhook")

BATCH = 32  # jobs in one turn
ASKED_AT_ONCE = 8  # questions to fal under way
RATE = 25.0  # jobs asked about per second, by all replicas and by `aisha-webhook reconcile` together
BUCKET = "fal"
HORIZON = timedelta(seconds=2)  # how much of that budget may be spent ahead
DEADLINE = 12.0  # s for all questions about one job
BUDGET = 40.0  # s for one turn; below the shortest lease a turn records nothing late
REST = timedelta(seconds=60)  # at most, after a turn in which fal said nothing of any job
ENTERED_BEFORE = End(JobState.DEAD, "entered_before")  # the same result was in the inbox, and it changed nothing
SUPERSEDED = End(JobState.DONE, "superseded", JobOutcome.SUPERSEDED)


@dataclass(eq=False, repr=False, slots=True)
class Reconcile:
    """Asks fal about due jobs. `known_endpoints` are tried where a guess is wrong. `every` is RECONCILE_EVERY.

    `on_looked` hears what was found once it is on record. `sweep` looks for submissions without an answer first.
    """

    database: Database
    subjects: BotTables
    fal: FalQueue
    clock: Clock
    _: KW_ONLY
    every: timedelta
    lease: timedelta
    orphans: timedelta
    known_endpoints: Sequence[str]
    chance: Callable[[], float]
    wake_apply: Callable[[], None]
    steps: Watched = UNWATCHED
    scrub: Callable[[bytes], bytes] = lambda body: body
    on_looked: Callable[[Sequence[Looked]], None] = lambda _: None
    sweep: Callable[[], Awaitable[int]] | None = None
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(ASKED_AT_ONCE), init=False)
    _rests_until: datetime | None = field(default=None, init=False)

    async def __call__(self) -> int:
        """Look once at what is due; return how many jobs were looked at. Raises DatabaseUnavailable.

        After a turn in which fal said nothing of any job the next one comes after a rest and asks about one alone:
        what it finds out holds for all.
        """
        if self.sweep is not None:
            await self.sweep()
        now = self.clock.now()
        if self._rests_until is not None and now < self._rests_until <= now + REST:
            return 0
        claimed = await self.database.write(self._claim, now, 1 if self._rests_until is not None else BATCH)
        if not claimed:
            return 0
        findings = await self._look_at(claimed, at_once=False)
        silent = all(isinstance(one.looked.step, Wait) and not one.looked.step.said for one in findings)
        self._rests_until = self.clock.now() + min(REST, self.every) if silent else None
        return len(claimed)

    async def allowed(self, wanted: int) -> int:
        """Take from the budget that all replicas share; return about how many of `wanted` jobs fal may be asked now.

        Raises DatabaseUnavailable.
        """
        return await self.database.write(self._take, self.clock.now(), wanted)

    async def by_hand(self, request_ids: Sequence[str]) -> list[JobLook]:
        """Look at these jobs now, due or not, ended without an outcome or not; return what was found.

        Raises DatabaseUnavailable.
        """
        now = self.clock.now()
        claimed = await self.database.write(
            jobs.claim, now=now, lease_until=now + self.lease, limit=len(request_ids), ids=request_ids
        )
        return await self._look_at(claimed, at_once=True)

    def _claim(self, connection: Connection, now: datetime, limit: int) -> list[OpenJob]:
        """Claim as many as fal may be asked about now; those that no row carries any more end here."""
        limit = min(limit, _free(connection, now))
        claimed = jobs.claim(connection, now=now, lease_until=now + self.lease, limit=limit) if limit else []
        if not claimed:
            return []
        _spend(connection, now, len(claimed))
        carried = self.subjects.carried(connection, [job.request_id for job in claimed])
        over = [job for job in claimed if self._is_superseded(job, carried, now)]
        jobs.record(connection, [Looked(job, SUPERSEDED) for job in over], now)
        return [job for job in claimed if job not in over]

    @staticmethod
    def _take(connection: Connection, now: datetime, wanted: int) -> int:
        taken = min(wanted, _free(connection, now))
        if taken:
            _spend(connection, now, taken)
        return taken

    def _is_superseded(self, job: OpenJob, carried: frozenset[str], now: datetime) -> bool:
        """Tell whether the bot has begun anew. A job that was registered before its row waits for it as orphans do."""
        if job.kind is not JobKind.TRAINING or job.request_id in carried:
            return False
        return job.was_carried or now - job.first_seen_at >= self.orphans

    async def _look_at(self, claimed: Sequence[OpenJob], *, at_once: bool) -> list[JobLook]:
        """Ask about all beside each other, each within its deadline and all within BUDGET; record what was found."""
        if not claimed:
            return []
        more = await self.database.read(job_lists.endpoints) if any(job.is_guessed for job in claimed) else []
        endpoints = list(dict.fromkeys([*self.known_endpoints, *more]))
        looks = [asyncio.create_task(self._look(job, endpoints, at_once=at_once)) for job in claimed]
        _, late = await asyncio.wait(looks, timeout=BUDGET)
        for look in late:
            look.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        findings = [
            self._unsaid(job) if look in late else look.result() for job, look in zip(claimed, looks, strict=True)
        ]
        await self._record(findings)
        return findings

    async def _look(self, job: OpenJob, endpoints: Sequence[str], *, at_once: bool) -> JobLook:
        try:
            async with self._turns, asyncio.timeout(DEADLINE):
                look = await ask_about(job, self.fal, endpoints, self.clock, self._pace(), at_once=at_once)
        except TimeoutError:
            return self._unsaid(job)
        except Exception as error:
            log.exception("job.look_failed", request_id=job.request_id)
            self.steps.failed("jobs", error)
            return self._unsaid(job, "the look failed by a bug of ours: see the log")
        self.steps.worked("jobs")
        return look

    def _unsaid(self, job: OpenJob, detail: str = "no answer in time") -> JobLook:
        said = Unsaid(Trouble.FAL_DOWN, detail)
        step = after_status(job, said, self.clock.now(), self._pace(), at_once=False)
        assert isinstance(step, Wait), "an answer that did not come is waited for"
        return JobLook(Looked(job, step))

    def _pace(self) -> Pace:
        return Pace(self.every, self.chance())

    async def _record(self, findings: Sequence[JobLook]) -> None:
        """Write all at once; where one was claimed anew meanwhile, one by one."""
        try:
            await self.database.write(self._write, findings, self.clock.now())
        except ClaimLost:
            for finding in findings:
                try:
                    await self.database.write(self._write, [finding], self.clock.now())
                except ClaimLost:
                    log.warning("job.claim_lost", request_id=finding.looked.job.request_id)
        for finding in findings:
            _report(finding)
        if any(finding.body is not None for finding in findings):
            self.wake_apply()
        self.on_looked([finding.looked for finding in findings])

    def _write(self, connection: Connection, findings: Sequence[JobLook], now: datetime) -> None:
        entering = [(finding, finding.body) for finding in findings if finding.body is not None]
        ended = set()
        if entering:
            found = [_delivery(finding.looked.job, self.scrub(body), now) for finding, body in entering]
            receipts = inbox.put(connection, [(delivery, now) for delivery in found])
            asked = [
                (delivery, finding.looked.job.claim.id) for delivery, (finding, _) in zip(found, entering, strict=True)
            ]
            new = [(receipt.id, *of) for receipt, of in zip(receipts, asked, strict=True) if receipt.new]
            totals.add(connection, Counter(totals.recovered(delivery.kind) for _, delivery, _ in new))
            kind = EventKind.RECOVERED.value
            events.note(connection, [Event(now, kind, row_id, job_id=job_id) for row_id, _, job_id in new])
            known = [receipt.id for receipt in receipts if not receipt.new]
            closed = inbox.not_pending(connection, known) if known else frozenset()
            ended = {
                finding.looked.job.request_id
                for (finding, _), receipt in zip(entering, receipts, strict=True)
                if receipt.id in closed
            }
        jobs.record(
            connection,
            [
                replace(one.looked, step=ENTERED_BEFORE) if one.looked.job.request_id in ended else one.looked
                for one in findings
            ],
            now,
        )


def _free(connection: Connection, now: datetime) -> int:
    return pacing.free_budget(connection, BUCKET, now=now, horizon=HORIZON, rate=RATE)


def _spend(connection: Connection, now: datetime, jobs_asked: int) -> None:
    pacing.spend_budget(connection, BUCKET, jobs_asked, now=now, horizon=HORIZON, rate=RATE)


def _delivery(job: OpenJob, body: bytes, now: datetime) -> Delivery:
    return Delivery(job.request_id, body, hashlib.sha256(body).hexdigest(), {}, now, Source.RECONCILE, job.kind)


def _report(finding: JobLook) -> None:
    job, step = finding.looked.job, finding.looked.step
    match step:
        case End():
            log.warning("job.ended", request_id=job.request_id, why=step.reason)
        case Wait() if finding.body is not None:
            log.info("job.result_entered", request_id=job.request_id)
        case Wait() if not step.said:
            log.warning("job.not_told", request_id=job.request_id, why=step.reason, next_at=step.at.isoformat())
