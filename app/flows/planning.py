"""One batch of deliveries → read, planned and executed in one transaction. Plain functions of a connection."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from app.db import inbox, jobs, outbox
from app.db.drift import DRIFT
from app.db.engine import Connection
from app.db.owner_topics import owner_topics
from app.db.trainings import Found
from app.domain.correction import correct
from app.domain.delivery import ClaimedDelivery, Source
from app.domain.errors import PayloadUnreadable
from app.domain.job import JobKind, JobOutcome, JobState
from app.domain.notification import OwnerTopics
from app.domain.training import Failed, Known, Outcome, Plan, Reading, Training, TrainingStatus
from app.domain.verdict import Bury, Done, Retry, Verdict, await_lock, await_training, retry_or_bury, wait_out
from app.fal.payload import FalAnswer
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


@dataclass(frozen=True, slots=True)
class Item:
    """A delivery under way, and what is known of it so far."""

    claimed: ClaimedDelivery
    reading: Reading | None  # None: could not be read
    verdict: Verdict | None = None  # what is certain without the training
    fetched: bool = False  # the reading is fal's stored result, so there is nothing more to ask for


class Planner:
    """Turns deliveries into plans and executes them; `chance` in [0, 1) spreads what is tried again."""

    def __init__(self, kinds: Sequence[Kind], limits: RetryLimits, chance: Callable[[], float]) -> None:
        self._kinds = {kind.name: kind for kind in kinds}
        self.names = frozenset(self._kinds)  # deliveries of other kinds must not be given to it
        self._limits = limits
        self._chance = chance

    def read(self, claimed: Sequence[ClaimedDelivery]) -> list[list[Item]]:
        """Read stored bytes, in groups that hold each training once: the second delivery sees what the first did."""
        return _one_per_training([self._read(item) for item in claimed])

    def read_result(self, item: Item, request_id: str, answered: FalAnswer) -> Item:
        """Put what fal's result says in the place of the reading. Raises ResultUnavailable."""
        reading = self._kinds[item.claimed.kind].read_result(request_id, answered)
        return replace(item, reading=reading, fetched=True)

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
        """Plan and execute in one transaction; return the plans, and what fal must be asked about first.

        `is_locked`: the deliveries are held by this transaction alone, not claimed.
        """
        unproven: list[tuple[Item, Training]] = []
        plans: list[tuple[Item, Plan]] = []
        found = {name: _lock(connection, kind, items) for name, kind in self._kinds.items()}
        ids = sorted({request_id for one in found.values() for request_id in one.trainings})
        known = jobs.known(connection, ids) if ids else {}
        for item in items:
            plan = self._plan(item, found[item.claimed.kind], known, now)
            match plan.verdict:
                case Retry(why="no_artifact") if item.reading is not None and not item.fetched:
                    unproven.append((item, found[item.claimed.kind].trainings[item.reading.request_id][0]))
                    continue
            verdict = self._limited(item, plan.verdict, now)
            plans.append((item, plan if verdict is plan.verdict else replace(plan, verdict=verdict)))
        plans = _corrected(connection, plans, found, known)
        self._execute(connection, plans, found, now, is_locked=is_locked)
        jobs.end(connection, self._ended(plans, found, known), now)
        return plans, unproven

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
                return replace(plan, notification=None) if _is_silent(item, job) else plan
            case several:
                return Plan(Bury("ambiguous_training", f"{len(several)} avatars carry this request id"))

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

    def _ended(
        self, plans: Sequence[tuple[Item, Plan]], found: Mapping[JobKind, Found], known: Mapping[str, Known]
    ) -> list[jobs.Ended]:
        """Tell how the jobs of known trainings ended.

        What changed nothing is no news of a job that has ended, unless its row was found completed by somebody else.
        """
        ended = []
        for item, plan in plans:
            if isinstance(plan.verdict, Retry) or item.reading is None:
                continue
            request_id = item.reading.request_id
            trainings = found[item.claimed.kind].trainings.get(request_id, [])
            job = known.get(request_id)
            is_success = plan.outcome is JobOutcome.COMPLETED and (job is None or job.outcome is not plan.outcome)
            is_news = plan.change is not None or is_success
            if not trainings or (not is_news and job is not None and job.state is JobState.DONE):
                continue
            training = trainings[0] if len(trainings) == 1 else None
            ended.append(
                jobs.Ended(
                    request_id=request_id,
                    kind=item.claimed.kind,
                    subject=None if training is None else training.avatar_id,
                    endpoint=self._kinds[item.claimed.kind].endpoint_of(None if training is None else training.trainer),
                    state=JobState.DONE if isinstance(plan.verdict, Done) else JobState.DEAD,
                    reason=plan.verdict.why,
                    delivery_id=item.claimed.claim.id,
                    changes=is_news,
                    outcome=plan.outcome,
                    artifacts=plan.artifacts,
                    detail=_last_words(plan.verdict, item.reading.outcome),
                )
            )
        return ended


def _last_words(verdict: Verdict, outcome: Outcome) -> str | None:
    """Say what a job keeps of its end: why it is the operator's, or fal's words of a failure."""
    if isinstance(verdict, Bury):
        return verdict.detail or None
    return outcome.detail if isinstance(outcome, Failed) else None


def _is_silent(item: Item, job: Known | None) -> bool:
    """Tell whether an owner hears nothing: an operator had fal asked about a job of a time before this server."""
    return job is not None and job.state is JobState.HISTORIC and item.claimed.source is Source.RECONCILE


def _corrected(
    connection: Connection,
    plans: list[tuple[Item, Plan]],
    found: Mapping[JobKind, Found],
    known: Mapping[str, Known],
) -> list[tuple[Item, Plan]]:
    """Fit messages to what owners were told before, where that may matter: no other plan costs a look."""
    turned: dict[int, Training] = {}
    for index, (item, plan) in enumerate(plans):
        if plan.outcome is None or item.reading is None:
            continue
        [training] = found[item.claimed.kind].trainings[item.reading.request_id]
        job = known.get(item.reading.request_id)
        if _may_contradict(item, plan, training, job) and not _is_silent(item, job):
            turned[index] = training
    if not turned:
        return plans
    told = owner_topics(connection, {(training.avatar_id, training.request_id) for training in turned.values()})
    for index, training in turned.items():
        item, plan = plans[index]
        if item.reading is not None:
            topics = told.get((training.avatar_id, training.request_id), OwnerTopics())
            plans[index] = item, correct(plan, training, item.reading.outcome, topics)
    return plans


def _may_contradict(item: Item, plan: Plan, training: Training, job: Known | None) -> bool:
    """Tell whether an owner may have been told otherwise: the row or the job ends a second time."""
    if plan.change is not None and (
        item.claimed.reason == DRIFT or training.status in (TrainingStatus.COMPLETED, TrainingStatus.ERROR)
    ):
        return True
    is_ready = plan.outcome is JobOutcome.COMPLETED
    return job is not None and job.outcome is not None and (job.outcome is JobOutcome.COMPLETED) is not is_ready


def _lock(connection: Connection, kind: Kind, items: Sequence[Item]) -> Found:
    """Load what the readings of one kind are about, and keep it from changing until the transaction ends."""
    readings = [item.reading for item in items if item.claimed.kind is kind.name and item.reading is not None]
    ids = sorted({reading.request_id for reading in readings})
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
