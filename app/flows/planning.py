"""One batch of deliveries → read, planned and executed in one transaction. Plain functions of a connection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.db import inbox, jobs, outbox
from app.db.engine import Connection
from app.db.trainings import Found
from app.domain.artifact import ArtifactCheck
from app.domain.artifact_verdict import ArtifactPatience, to_look_at, weigh
from app.domain.delivery import ClaimedDelivery
from app.domain.errors import PayloadUnreadable, ResultUnavailable
from app.domain.job import JobKind
from app.domain.look import AtWork, Broken, Result, ResultSaid, Trouble, Unknown, Unsaid
from app.domain.training import Known, Plan, Training
from app.domain.verdict import Bury, Retry, Verdict, await_lock, await_training, retry_or_bury, wait_out
from app.flows.endings import corrected, ended_jobs, is_silent
from app.flows.item import Item
from app.flows.kinds import Kind

OUTAGES = frozenset(
    {"fal_down", "not_ready", "no_fal_key", "fal_key_refused"}
)  # waited out: time or a setting mends it


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How long to keep trying: `attempts` failures, `orphans` for a training not known yet, `lease` per claim."""

    attempts: int
    orphans: timedelta
    lease: timedelta


class Planner:
    """Turns deliveries into plans and executes them; `chance` in [0, 1) spreads what is tried again."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        limits: RetryLimits,
        chance: Callable[[], float],
        check: ArtifactCheck = ArtifactCheck.OFF,
    ) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self.names = frozenset(self._kinds)  # deliveries of other kinds must not be given to it
        self._limits = limits
        self._chance = chance
        self._check = check

    def read(self, claimed: Sequence[ClaimedDelivery]) -> list[list[Item]]:
        """Read stored bytes, in groups that hold each training once: the second delivery sees what the first did."""
        return _one_per_training([self._read(item) for item in claimed])

    def endpoints(self, item: Item, training: Training) -> Sequence[str]:
        """List where the job of a delivery may have been submitted, the likeliest first."""
        return self._kinds[item.claimed.kind].endpoints(training)

    def read_result(self, item: Item, said: ResultSaid) -> Item:
        """Put what fal's result says in the place of the reading. Raises ResultUnavailable."""
        match said:
            case Result(body):
                return replace(item, reading=self._kinds[item.claimed.kind].read(body), fetched=True)
            case AtWork():
                raise ResultUnavailable("not_ready", "the request is not finished yet")
            case Unknown():
                raise ResultUnavailable("result_gone", "fal does not know the request, or no longer")
            case Broken():
                raise ResultUnavailable("fal_down", "the result endpoint failed")
            case Unsaid(Trouble.NO_FAL_KEY, detail):
                raise ResultUnavailable("no_fal_key", detail)
            case Unsaid(Trouble.FAL_KEY_REFUSED | Trouble.ACCOUNT_LOCKED, detail):
                raise ResultUnavailable("fal_key_refused", detail)
            case Unsaid(Trouble.FAL_ODD, detail):
                raise ResultUnavailable("result_unreadable", detail)
            case Unsaid(_, detail):
                raise ResultUnavailable("fal_down", detail)

    def _read(self, claimed: ClaimedDelivery) -> Item:
        """Understand the stored bytes; what cannot be understood is buried, not lost."""
        if claimed.body is None:
            return Item(claimed, None, Bury("body_forgotten", "retention has emptied this row"))
        try:
            reading = self._kinds[claimed.kind].read(claimed.body)
        except PayloadUnreadable as error:
            return Item(claimed, None, Bury(error.code, str(error)))
        if claimed.request_id not in (reading.request_id, reading.gateway_request_id):
            # Applied to neither: the signature covers the body, the header tells another story.
            return Item(claimed, None, Bury("id_mismatch", "the signed header and the body name different requests"))
        return Item(claimed, reading)

    def decide(
        self, connection: Connection, items: Sequence[Item], now: datetime, *, is_locked: bool = False
    ) -> tuple[list[tuple[Item, Plan]], list[tuple[Item, Training]]]:
        """Plan and execute in one transaction; return the plans, and what must be asked or looked at first (`unseen`).

        `is_locked`: the deliveries are held by this transaction alone, not claimed.
        """
        unproven: list[tuple[Item, Training]] = []
        plans: list[tuple[Item, Plan]] = []
        self._join(connection, items, now)
        found = {name: _lock(connection, kind, items) for name, kind in self._kinds.items()}
        ids = sorted({request_id for one in found.values() for request_id in one.trainings})
        known = jobs.known(connection, ids) if ids else {}
        for item in items:
            plan = self._plan(item, found[item.claimed.kind], known, now)
            match plan.verdict:
                case Retry(why="no_artifact") if item.reading is not None and not item.fetched:
                    unproven.append((item, found[item.claimed.kind].trainings[item.reading.request_id][0]))
                    continue
            if item.reading is not None and (url := self._unseen(item, plan)) is not None:
                training = found[item.claimed.kind].trainings[item.reading.request_id][0]
                unproven.append((replace(item, unseen=url), training))
                continue
            verdict = self._limited(item, plan.verdict, now)
            plan = plan if verdict is plan.verdict else replace(plan, verdict=verdict)
            plans.append((item, self._weigh(item, plan, now)))
        plans = corrected(connection, plans, found, known)
        self._execute(connection, plans, found, now, is_locked=is_locked)
        jobs.end(connection, ended_jobs(plans, found, known, self._kinds), now)
        return plans, unproven

    def _join(self, connection: Connection, items: Sequence[Item], now: datetime) -> None:
        """Give submissions whose answer was lost the request id that fal's webhook names."""
        for name, kind in self._kinds.items():
            told_of = [
                (item.claimed.nonce, item.reading.request_id)
                for item in items
                if item.claimed.nonce is not None and item.reading is not None and item.claimed.kind is name
            ]
            if told_of and kind.join is not None:
                kind.join(connection, told_of, now=now)

    def _plan(self, item: Item, found: Found, known: Mapping[str, Known], now: datetime) -> Plan:
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
                job = known.get(request_id)
                plan = self._kinds[item.claimed.kind].decide(training, item.reading.outcome, now, job)
                return replace(plan, notification=None) if is_silent(item, job) else plan
            case several:
                return Plan(Bury("ambiguous_training", f"{len(several)} avatars carry this request id"))

    def _unseen(self, item: Item, plan: Plan) -> str | None:
        """Name the artifact that nobody has looked at yet for this delivery."""
        url = None if self._check is ArtifactCheck.OFF or plan.change is None else to_look_at(plan)
        return None if url in item.looks else url

    def _weigh(self, item: Item, plan: Plan, now: datetime) -> Plan:
        if self._check is ArtifactCheck.OFF or plan.change is None:
            return plan
        look = item.looks.get(to_look_at(plan) or "")
        claimed, limit = item.claimed, self._limits.attempts
        return weigh(plan, look, self._check, ArtifactPatience(claimed, limit, self._chance()), now)

    def _limited(self, item: Item, verdict: Verdict, now: datetime) -> Verdict:
        """Put a limit to what is not yet decided; what was limited already stays."""
        if isinstance(verdict, Retry) and verdict.failed and item.verdict is None:
            return self.postpone(item, verdict.why, "fal gave no result with an artifact", now)
        return verdict

    def postpone(self, item: Item, why: str, detail: str, now: datetime) -> Verdict:
        """Say when something that failed is tried again, or bury it."""
        failures, jitter = item.claimed.failures, self._chance()
        if why in OUTAGES:
            return wait_out(why, detail, failures=failures, since=item.claimed.received_at, now=now, jitter=jitter)
        return retry_or_bury(why, detail, failures=failures, limit=self._limits.attempts, now=now, jitter=jitter)

    def _execute(
        self,
        connection: Connection,
        plans: Sequence[tuple[Item, Plan]],
        found: Mapping[JobKind, Found],
        now: datetime,
        *,
        is_locked: bool,
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
        inbox.finish(connection, finished, now, is_locked=is_locked)


def _lock(connection: Connection, kind: Kind, items: Sequence[Item]) -> Found:
    """Load what the readings of one kind are about, and keep it from changing until the transaction ends."""
    asked = [item for item in items if item.claimed.kind is kind.name and item.verdict is None]
    ids = sorted({item.reading.request_id for item in asked if item.reading is not None})
    return kind.subjects.lock(connection, ids) if ids else Found({})


def _one_per_training(items: Sequence[Item]) -> list[list[Item]]:
    """Split a batch so that each group holds at most one delivery of a training; the second sees what the first did."""
    groups: list[list[Item]] = []
    seen: dict[str, int] = {}
    for item in items:
        key = item.reading.request_id if item.reading is not None else f"unread:{item.claimed.claim.id}"
        turn = seen.get(key, 0)
        seen[key] = turn + 1
        if turn == len(groups):
            groups.append([])
        groups[turn].append(item)
    return groups
