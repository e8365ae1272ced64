"""Due deliveries → decide → one commit: change, notification and finish stand or fall together."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog

from app.db import inbox
from app.db.engine import Connection, Database
from app.domain.artifact import ArtifactCheck
from app.domain.delivery import ClaimedDelivery, milliseconds
from app.domain.errors import ClaimLost, DatabaseUnavailable, ResultUnavailable
from app.domain.look import ResultSaid, Unknown
from app.domain.measures import Measures
from app.domain.training import Plan, Training
from app.domain.verdict import Bury, Done, Retry, await_lock, last_words
from app.fal.queue_answers import read_result
from app.flows.artifacts import ArtifactLooks
from app.flows.item import Item
from app.flows.kinds import Kind
from app.flows.measuring import count_plans
from app.flows.planning import Planner, RetryLimits
from app.flows.ports import Clock, FalQueue
from app.flows.steps import UNWATCHED, Watched

R = TypeVar("R")

log = structlog.get_logger("app.webhook")

BATCH = 200  # deliveries that share a commit
MODEST = 20  # the same while deliveries come in: until a batch is written, those who wait for an answer wait on
PARTS = 8  # into which a batch that fails is cut: one bad row in 200 is found by 19 commits and twice the work
INSIST_PAUSE = timedelta(seconds=0.5)
FETCHES = 8  # results fetched from fal at the same time
FETCH_DEADLINE = 20.0  # s for all of a batch: a slow fal must not outlast the lease


@dataclass(frozen=True, slots=True)
class _Applied:
    """What one transaction did: how many it took, its plans, what fal must be asked about, whether more are due."""

    taken: int
    plans: list[tuple[Item, Plan]]
    unproven: list[tuple[Item, Training]]  # claimed; artifacts to be looked at among them
    is_more: bool  # second deliveries of trainings that were among them


@dataclass(eq=False, repr=False, slots=True)
class Apply:
    """Apply what is due.

    `looks` sees to artifacts beside the flow; None where none is looked at. `on_progress` is called before each try to
    commit. A try ends within seconds, but there may be many of them while the database is away: whoever watches for
    hangs takes each as a sign of life; `steps` counts the tries that failed, and rows that could not be applied,
    `measures` what was applied.
    """

    database: Database
    kinds: Sequence[Kind]
    fal_queue: FalQueue
    clock: Clock
    limits: RetryLimits
    _: KW_ONLY
    chance: Callable[[], float]
    wake_notify: Callable[[], None]
    is_busy: Callable[[], bool] = lambda: False
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    looks: ArtifactLooks | None = None
    steps: Watched = UNWATCHED
    measures: Measures = field(default_factory=Measures)
    on_progress: Callable[[], None] = field(default=lambda: None, init=False)
    _planner: Planner = field(init=False)

    def __post_init__(self) -> None:
        check = ArtifactCheck.OFF if self.looks is None else self.looks.check
        self._planner = Planner(self.kinds, self.limits, self.chance, check)

    async def __call__(self) -> int:
        """Apply up to BATCH due deliveries; return how many were taken.

        Mostly all of them are taken, applied and finished in one transaction. Where it breaks they are claimed, so that
        whose fault it is can be found.
        """
        taken, is_more = 0, True
        while is_more:
            if self.looks is not None:
                await self.looks.room()
            now, limit = self.clock.now(), MODEST if self.is_busy() else BATCH
            lease_until = now + self.limits.lease
            at_once = partial(self.database.write, self._apply_at_once, now, limit, lease_until)
            try:
                applied = await self._insist(at_once, lease_until)
            except DatabaseUnavailable:
                raise
            except Exception:  # noqa: BLE001  a bug or poison: it is met again, alone, and logged there
                return taken + await self._apply_claimed(now, limit)
            self._report(applied.plans, now)
            if applied.taken:
                self.steps.worked("deliveries")
            await self._prove(applied.unproven, lease_until)
            taken, is_more = taken + applied.taken, applied.is_more
        return taken

    def _apply_at_once(self, connection: Connection, now: datetime, limit: int, lease_until: datetime) -> _Applied:
        groups = self._planner.read(inbox.lock(connection, now=now, limit=limit, kinds=self._planner.names))
        if not groups:
            return _Applied(0, [], [], is_more=False)
        plans, unproven = self._planner.decide(connection, self._in_turn(groups[0], now), now, is_locked=True)
        kept = inbox.keep(connection, [item.claimed for item, _ in unproven], lease_until, now)
        claimed = [(replace(item, claimed=one), training) for (item, training), one in zip(unproven, kept, strict=True)]
        return _Applied(len(groups[0]), plans, claimed, is_more=len(groups) > 1)

    async def _apply_claimed(self, now: datetime, limit: int) -> int:
        lease_until = now + self.limits.lease
        groups = await self.database.write(self._take, now, limit)
        for group in groups:
            items = self._in_turn(group, now)
            await self._prove(await self._insist(partial(self._settle, items), lease_until), lease_until)
        return sum(map(len, groups))

    def _in_turn(self, items: Sequence[Item], now: datetime) -> list[Item]:
        """Let deliveries wait whose training is being looked at: what came first is decided first."""
        looks = self.looks
        if looks is None:
            return list(items)
        return [
            replace(item, verdict=await_lock(now))
            if item.verdict is None and item.reading is not None and looks.is_under_way(item.reading.request_id)
            else item
            for item in items
        ]

    async def _prove(self, unproven: Sequence[tuple[Item, Training]], lease_until: datetime) -> None:
        """Fetch what deliveries left out and settle it; what is to be looked at is settled beside this flow."""
        unseen = [item for item, _ in unproven if item.unseen is not None]
        if unfetched := [(item, training) for item, training in unproven if item.unseen is None]:
            items = await self._fetch(unfetched)
            unseen += [item for item, _ in await self._insist(partial(self._settle, items), lease_until)]
        if unseen and self.looks is not None:
            self.looks.begin(unseen, partial(self._settle_seen, lease_until))

    async def _settle_seen(self, lease_until: datetime, items: Sequence[Item]) -> Sequence[Item]:
        """Decide again with what was seen; return those whose row asks for another artifact by now."""
        return [item for item, _ in await self._insist(partial(self._settle, items), lease_until)]

    def _take(self, connection: Connection, now: datetime, limit: int) -> list[list[Item]]:
        """Claim what is due and read it, in groups that hold each training once."""
        claimed = inbox.claim(
            connection, now=now, lease_until=now + self.limits.lease, limit=limit, kinds=self._planner.names
        )
        return self._planner.read(claimed)

    async def _insist(self, work: Callable[[], Awaitable[R]], until: datetime) -> R:
        """Repeat what the database was not there for, while the lease lasts: claimed rows are nobody else's so long."""
        while True:
            self.on_progress()
            try:
                return await work()
            except DatabaseUnavailable as error:
                self.steps.failed("apply", error)
                if self.clock.now() + INSIST_PAUSE >= until:
                    raise
                await self.sleep(INSIST_PAUSE.total_seconds())

    async def _settle(self, items: Sequence[Item]) -> Sequence[tuple[Item, Training]]:
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

    async def _commit(self, items: Sequence[Item]) -> Sequence[tuple[Item, Training]]:
        now = self.clock.now()
        plans, unproven = await self.database.write(self._planner.decide, items, now)
        self._report(plans, now)
        self.steps.worked("deliveries")
        return unproven

    async def _fetch(self, unproven: Sequence[tuple[Item, Training]]) -> list[Item]:
        """Ask fal for the results that the deliveries left out."""
        turns = asyncio.Semaphore(FETCHES)

        async def fetch(item: Item, training: Training) -> Item:
            try:
                async with asyncio.timeout(FETCH_DEADLINE), turns:
                    said = await self._ask(self._planner.endpoints(item, training), training.request_id)
                return self._planner.read_result(item, said)
            except ResultUnavailable as error:
                return self._give_up_fetching(item, error.code, str(error))
            except TimeoutError:
                return self._give_up_fetching(item, "fal_down", "no result in time")

        return await asyncio.gather(*(fetch(item, training) for item, training in unproven))

    async def _ask(self, endpoints: Sequence[str], request_id: str) -> ResultSaid:
        """Ask where the job may be, one endpoint after the other until one knows it."""
        said: ResultSaid = Unknown()
        for endpoint in endpoints:
            said = read_result(request_id, await self.fal_queue.result(endpoint, request_id))
            if not isinstance(said, Unknown):
                break
        return said

    def _give_up_fetching(self, item: Item, why: str, detail: str) -> Item:
        return replace(item, verdict=self._planner.postpone(item, why, detail, self.clock.now()))

    async def _set_aside(self, item: Item, error: Exception) -> None:
        now = self.clock.now()
        if isinstance(error, ClaimLost):
            _log_lost(item)
            return
        log.error("delivery.apply_failed", request_id=item.claimed.request_id, exc_info=error)
        self.steps.failed("deliveries", error)
        detail = last_words(error)
        verdict = self._planner.postpone(item, "bug", detail, now)
        try:
            await self.database.write(inbox.finish, [inbox.Finished(item.claimed, verdict, None)], now)
        except ClaimLost:  # its lease had ended before it broke: it is with another process
            _log_lost(item)

    def _report(self, plans: Sequence[tuple[Item, Plan]], now: datetime) -> None:
        if plans:
            ended = self.clock.now()
            self.measures.apply.add((ended - now).total_seconds())
            count_plans(self.measures, plans, ended)
        for item, plan in plans:
            _log_end(item.claimed, plan, now)
        if any(plan.notification is not None for _, plan in plans):
            self.wake_notify()


def _log_lost(item: Item) -> None:
    log.warning("delivery.claim_lost", request_id=item.claimed.request_id, delivery=item.claimed.claim.id)


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
            told = plan.notification is not None
            log.info("delivery.applied", **ids, **timings, told=told, artifact=plan.artifact)
        case Retry(at):
            log.info("delivery.postponed", **ids, attempt=claimed.claim.attempt, next_at=at.isoformat())
        case Bury():
            log.error("delivery.buried", **ids, **timings)
