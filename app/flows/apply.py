"""Claimed deliveries → decide → one commit: change, notification and finish stand or fall together."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog

from app.db import inbox, outbox
from app.db.engine import Connection, Database
from app.db.trainings import Found
from app.domain.delivery import ClaimedDelivery, milliseconds
from app.domain.errors import ClaimLost, DatabaseUnavailable, PayloadUnreadable, ResultUnavailable
from app.domain.job import JobKind
from app.domain.training import Plan, Reading, Training
from app.domain.verdict import (
    Bury,
    Done,
    Retry,
    Verdict,
    await_lock,
    await_training,
    last_words,
    retry_or_bury,
    wait_out,
)
from app.flows.kinds import Kind
from app.flows.ports import Clock, FalQueue

log = structlog.get_logger("app.webhook")

BATCH = 200  # deliveries that share a commit
MODEST = 40  # the same in a flood: while a batch is written, those who wait for an answer wait on
PARTS = 8  # into which a batch that fails is cut: one bad row in 200 is found by 19 commits and twice the work
OUTAGES = frozenset(
    {"fal_down", "not_ready", "no_fal_key", "fal_key_refused"}
)  # waited out: time or a setting mends it
INSIST_PAUSE = timedelta(seconds=0.5)
FETCHES = 8  # results fetched from fal at the same time
FETCH_DEADLINE = 20.0  # s for all of a batch: a slow fal must not outlast the lease


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long to keep trying: `attempts` failures, `orphans` for a training not known yet, `lease` per claim."""

    attempts: int
    orphans: timedelta
    lease: timedelta


@dataclass(frozen=True, slots=True)
class _Item:
    claimed: ClaimedDelivery
    reading: Reading | None  # None: could not be read
    verdict: Verdict | None = None  # what is certain without the training
    fetched: bool = False  # the reading is fal's stored result, so there is nothing more to ask for


class Apply:
    """Apply what is due.

    `on_progress` is called before each try to commit. A try ends within seconds, but there may be many of them while
    the database is away: whoever watches for hangs takes each as a sign of life.
    """

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Kind],
        fal_queue: FalQueue,
        clock: Clock,
        limits: RetryLimits,
        *,
        chance: Callable[[], float],
        wake_notify: Callable[[], None],
        is_crowded: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._kinds = {kind.name: kind for kind in kinds}
        self._fal_queue = fal_queue
        self._clock = clock
        self._limits = limits
        self._chance = chance
        self._wake_notify = wake_notify
        self._is_crowded = is_crowded
        self._sleep = sleep
        self.on_progress: Callable[[], None] = lambda: None

    async def __call__(self) -> int:
        """Apply up to BATCH due deliveries; return how many were claimed."""
        now, limit = self._clock.now(), MODEST if self._is_crowded() else BATCH
        groups = await self._database.write(self._take, now, limit)
        for group in groups:
            unproven = await self._insist(group, now + self._limits.lease)
            if unproven:
                await self._insist(await self._fetch(unproven), now + self._limits.lease)
        return sum(map(len, groups))

    def _take(self, connection: Connection, now: datetime, limit: int) -> list[list[_Item]]:
        """Claim what is due and read it, in groups that hold each training once."""
        claimed = inbox.claim(connection, now=now, lease_until=now + self._limits.lease, limit=limit)
        return _one_per_training([self._read(item) for item in claimed])

    def _read(self, claimed: ClaimedDelivery) -> _Item:
        """Understand the stored bytes; what cannot be understood is buried, not lost."""
        if claimed.body is None:
            return _Item(claimed, None, Bury("body_forgotten", "retention has emptied this row"))
        try:
            reading = self._kinds[claimed.kind].read(claimed.body)
        except PayloadUnreadable as error:
            return _Item(claimed, None, Bury(error.code, str(error)))
        if claimed.request_id not in (reading.request_id, reading.gateway_request_id):
            # Applied to neither: both are signed, and they name different requests.
            return _Item(claimed, None, Bury("id_mismatch", "the signed header and the body name different requests"))
        return _Item(claimed, reading)

    async def _insist(self, items: Sequence[_Item], lease_until: datetime) -> Sequence[tuple[_Item, Training]]:
        """Settle, waiting out the database while the lease lasts: claimed rows are nobody else's until then."""
        while True:
            try:
                return await self._settle(items)
            except DatabaseUnavailable:
                if self._clock.now() + INSIST_PAUSE >= lease_until:
                    raise
                await self._sleep(INSIST_PAUSE.total_seconds())

    async def _settle(self, items: Sequence[_Item]) -> Sequence[tuple[_Item, Training]]:
        """Decide and commit together; a row that breaks the commit is found by cutting, so it costs only its own.

        Returns those that fal must be asked about first; they stay claimed.
        """
        self.on_progress()
        try:
            return await self._commit(items)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001  a bug or poison: find whose it is
            if len(items) > 1:
                part = -(-len(items) // PARTS)
                parts = [items[start : start + part] for start in range(0, len(items), part)]
                return [left for part in parts for left in await self._settle(part)]
            await self._set_aside(items[0], error)
            return []

    async def _commit(self, items: Sequence[_Item]) -> Sequence[tuple[_Item, Training]]:
        now = self._clock.now()
        plans, unproven = await self._database.write(self._decide, items, now)
        self._report(plans, now)
        return unproven

    def _decide(
        self, connection: Connection, items: Sequence[_Item], now: datetime
    ) -> tuple[list[tuple[_Item, Plan]], list[tuple[_Item, Training]]]:
        """Plan and execute in one transaction; return the plans, and what fal must be asked about first."""
        unproven: list[tuple[_Item, Training]] = []
        plans: list[tuple[_Item, Plan]] = []
        found = {name: _lock(connection, kind, items) for name, kind in self._kinds.items()}
        for item in items:
            plan = self._plan(item, found[item.claimed.kind], now)
            match plan.verdict:
                case Retry(why="no_artifact") if item.reading is not None and not item.fetched:
                    unproven.append((item, found[item.claimed.kind].trainings[item.reading.request_id][0]))
                    continue
            plans.append((item, replace(plan, verdict=self._limited(item, plan.verdict, now))))
        self._execute(connection, plans, found, now)
        return plans, unproven

    def _plan(self, item: _Item, found: Found, now: datetime) -> Plan:
        if item.verdict is not None:
            return Plan(item.verdict)
        assert item.reading is not None, "what could not be read has its verdict already"
        request_id = item.reading.request_id
        if request_id in found.held:
            return Plan(await_lock(now))
        match found.trainings.get(request_id, []):
            case []:
                return Plan(await_training(item.claimed.received_at, now, self._limits.orphans))
            case [training]:
                return self._kinds[item.claimed.kind].decide(training, item.reading.outcome, now)
            case several:
                return Plan(Bury("ambiguous_training", f"{len(several)} avatars carry this request id"))

    def _limited(self, item: _Item, verdict: Verdict, now: datetime) -> Verdict:
        """Put a limit to what is not yet decided; what was limited already stays."""
        if isinstance(verdict, Retry) and verdict.failed and item.verdict is None:
            return self._postpone(item, verdict.why, "fal gave no result with an artifact", now)
        return verdict

    def _postpone(self, item: _Item, why: str, detail: str, now: datetime) -> Verdict:
        failures, jitter = item.claimed.failures, self._chance()
        if why in OUTAGES:
            return wait_out(why, detail, failures=failures, since=item.claimed.received_at, now=now, jitter=jitter)
        return retry_or_bury(why, detail, failures=failures, limit=self._limits.attempts, now=now, jitter=jitter)

    def _execute(
        self,
        connection: Connection,
        plans: Sequence[tuple[_Item, Plan]],
        found: Mapping[JobKind, Found],
        now: datetime,
    ) -> None:
        for name, kind in self._kinds.items():
            changes = [
                (found[name].trainings[item.reading.request_id][0], plan.change, item.reading.answer)
                for item, plan in plans
                if plan.change is not None and item.reading is not None and item.claimed.kind is name
            ]
            kind.subjects.change(connection, changes)
        owed = [(plan.notification, item.claimed) for item, plan in plans if plan.notification is not None]
        finished = [
            inbox.Finished(item.claimed, plan.verdict, item.reading.request_id if item.reading is not None else None)
            for item, plan in plans
        ]
        outbox.put(connection, owed, now)
        inbox.finish(connection, finished, now)

    async def _fetch(self, unproven: Sequence[tuple[_Item, Training]]) -> list[_Item]:
        """Ask fal for the results that the deliveries left out."""
        turns = asyncio.Semaphore(FETCHES)

        async def fetch(item: _Item, training: Training) -> _Item:
            try:
                async with asyncio.timeout(FETCH_DEADLINE), turns:
                    answered = await self._fal_queue.result(training.request_id, training.trainer)
                reading = self._kinds[item.claimed.kind].read_result(training.request_id, answered)
            except ResultUnavailable as error:
                return self._give_up_fetching(item, error.code, str(error))
            except TimeoutError:
                return self._give_up_fetching(item, "fal_down", "no result in time")
            return replace(item, reading=reading, fetched=True)

        return await asyncio.gather(*(fetch(item, training) for item, training in unproven))

    def _give_up_fetching(self, item: _Item, why: str, detail: str) -> _Item:
        return replace(item, verdict=self._postpone(item, why, detail, self._clock.now()))

    async def _set_aside(self, item: _Item, error: Exception) -> None:
        now = self._clock.now()
        if isinstance(error, ClaimLost):
            log.warning("delivery.claim_lost", request_id=item.claimed.request_id, delivery=item.claimed.claim.id)
            return
        log.error("delivery.apply_failed", request_id=item.claimed.request_id, exc_info=error)
        detail = last_words(error)
        verdict = self._postpone(item, "bug", detail, now)
        await self._database.write(inbox.finish, [inbox.Finished(item.claimed, verdict, None)], now)

    def _report(self, plans: Sequence[tuple[_Item, Plan]], now: datetime) -> None:
        for item, plan in plans:
            _log_end(item.claimed, plan, now)
        if any(plan.notification is not None for _, plan in plans):
            self._wake_notify()


def _lock(connection: Connection, kind: Kind, items: Sequence[_Item]) -> Found:
    """Load what the readings of one kind are about, and keep it from changing until the transaction ends."""
    readings = [item.reading for item in items if item.claimed.kind is kind.name and item.reading is not None]
    ids = sorted({reading.request_id for reading in readings})
    return kind.subjects.lock(connection, ids) if ids else Found({})


def _one_per_training(items: Sequence[_Item]) -> list[list[_Item]]:
    """Split a batch so that each group holds at most one delivery of a training; the second sees what the first did."""
    groups: list[list[_Item]] = []
    seen: dict[str, int] = {}
    for item in items:
        key = item.reading.request_id if item.reading is not None else f"unread:{item.claimed.claim.id}"
        turn = seen.get(key, 0)
        seen[key] = turn + 1
        if turn == len(groups):
            groups.append([])
        groups[turn].append(item)
    return groups


def _log_end(claimed: ClaimedDelivery, plan: Plan, now: datetime) -> None:
    """Log where the decision falls. A delivery that owes a message gets its last line when the message is told."""
    verdict = plan.verdict
    timings = {
        "received_at": claimed.received_at.isoformat(),
        "stored_ms": milliseconds(claimed.received_at, claimed.stored_at),
        "applied_ms": milliseconds(claimed.received_at, now),
    }
    ids = {"request_id": claimed.request_id, "delivery": claimed.claim.id, "why": verdict.why}
    match verdict:
        case Done():
            log.info("delivery.applied", **ids, **timings, told=plan.notification is not None)
        case Retry(at):
            log.info("delivery.postponed", **ids, attempt=claimed.claim.attempt, next_at=at.isoformat())
        case Bury():
            log.error("delivery.buried", **ids, **timings)
