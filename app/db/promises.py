"""Messages that wait: for the operator's alert, or for the account to be back; and owners whose result waits.

Every change is one statement for all rows. What is held is never claimed (`outbox`), however late it becomes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select, update
from sqlalchemy.engine import Connection

from app.db import outbox, totals, wake
from app.db.owed import Owed
from app.db.owner_topics import owner_topics
from app.db.tables import alerts, deliveries, jobs, notifications
from app.db.trainings import BotTables
from app.domain.alert import Condition
from app.domain.job import JobKind, JobOutcome
from app.domain.notification import Cause, NotificationState, OwnerMessage, Topic
from app.domain.promise import BURIED_BY, HELD_FOR, TOLD_BY, TROUBLE_AFTER, Hold
from app.domain.training import Training, TrainingStatus

LATELY = timedelta(days=1)  # results that were buried before are nobody's news
_UNTOLD = (None, TrainingStatus.TRAINING)  # an owner waits: the row is under way, or holds a word that nobody knows
_NOTES = notifications.c
_PENDING = _NOTES.state == NotificationState.PENDING


@dataclass(frozen=True, slots=True)
class Waiting:
    """A promise that is not kept yet: its row, and the failed training that it was made about."""

    row_id: int
    subject: str
    request_id: str


def told_alerts(connection: Connection) -> frozenset[Condition]:
    """Name the shared alerts that are open and of which the operator was really told."""
    sent = exists().where(
        _NOTES.kind == Topic.ALERT,
        _NOTES.request_id == alerts.c.name,
        _NOTES.state == NotificationState.SENT,
        _NOTES.applied_at == alerts.c.told_at,
    )
    wanted = [Condition.ACCOUNT_LOCKED, BURIED_BY, *TOLD_BY.values()]
    statement = select(alerts.c.name).where(alerts.c.name.in_(wanted), alerts.c.resolved_at.is_(None), sent)
    return frozenset(Condition(name) for name in connection.execute(statement).scalars())


def release_failures(connection: Connection, *, is_told: bool, now: datetime) -> int:
    """Let failures through that waited for the alert; untold after HELD_FOR they promise nothing any more."""
    held = update(notifications).where(_PENDING, _NOTES.reason == Hold.ALERT)
    if is_told:
        statement = held.values(reason=None, due_at=now)
    else:
        late = held.where(_NOTES.applied_at <= now - HELD_FOR)
        statement = late.values(reason=None, due_at=now, cause=Cause.FAL_TROUBLE)
    released = connection.execute(statement).rowcount
    if released:
        wake.announce(connection, wake.WakeTopic.OUTBOX)
    return int(released)


def waiting(connection: Connection, now: datetime) -> list[Waiting]:
    """List promises that wait for the account, oldest first; none of them looks due meanwhile."""
    where = (_PENDING, _NOTES.reason == Hold.ACCOUNT)
    statement = select(_NOTES.id, _NOTES.avatar_id, _NOTES.request_id).where(*where).order_by(_NOTES.id)
    found = [Waiting(*row) for row in connection.execute(statement)]
    if found:
        connection.execute(update(notifications).where(*where).values(due_at=now + HELD_FOR))
    return found


def has_succeeded_since(connection: Connection, promises: Sequence[Waiting]) -> bool:
    """Tell whether a job has been completed that was begun after the newest of these promises was made."""
    made = select(func.max(_NOTES.applied_at)).where(_NOTES.id.in_([one.row_id for one in promises]))
    begun = jobs.c.first_seen_at > made.scalar_subquery()
    statement = select(jobs.c.id).where(jobs.c.outcome == JobOutcome.COMPLETED, begun).limit(1)
    return connection.execute(statement).first() is not None


def keep(connection: Connection, bot_tables: BotTables, promises: Sequence[Waiting], now: datetime) -> tuple[int, int]:
    """Make promises due whose owners read them and still have a failed avatar; return how many, and how many lapsed.

    One whose failure is still to be told waits on.
    """
    failures = {(row.avatar_id, row.request_id): row for row in connection.execute(_failures(promises))}
    found = bot_tables.lock(connection, sorted({one.request_id for one in promises}))
    due: list[int] = []
    lapsed: list[int] = []
    for one in promises:
        failure = failures.get((one.subject, one.request_id))
        if one.request_id in found.held or (failure is not None and failure.state == NotificationState.PENDING):
            continue
        rows = [row for row in found.trainings.get(one.request_id, []) if row.avatar_id == one.subject]
        is_failed = bool(rows) and rows[0].status is TrainingStatus.ERROR
        (due if failure is not None and failure.was_read and is_failed else lapsed).append(one.row_id)
    for ids, values in (
        (due, {"reason": None, "due_at": now}),
        (lapsed, {"reason": "lapsed", "state": NotificationState.IGNORED, "finished_at": now}),
    ):
        if ids:
            connection.execute(update(notifications).where(_PENDING, _NOTES.id.in_(ids)).values(values))
    totals.add(connection, totals.moved(notifications, [("pending", NotificationState.IGNORED)] * len(lapsed)))
    if due:
        wake.announce(connection, wake.WakeTopic.OUTBOX)
    return len(due), len(lapsed)


def owe_trouble(connection: Connection, bot_tables: BotTables, told: frozenset[Condition], now: datetime) -> int:
    """Owe a word to owners whose result has waited for the operator for TROUBLE_AFTER, where the operator was told."""
    stuck = {row.of: row for row in connection.execute(_stuck(now)) if TOLD_BY.get(row.reason, BURIED_BY) in told}
    if not stuck:
        return 0
    rows = bot_tables.lock(connection, sorted(stuck)).trainings
    untold = [one for [one, *others] in rows.values() if not others and one.status in _UNTOLD]
    heard = owner_topics(connection, {(one.avatar_id, one.request_id) for one in untold}) if untold else {}
    owed = [
        Owed(
            _trouble(one), stuck[one.request_id].id, stuck[one.request_id].received_at, stuck[one.request_id].stored_at
        )
        for one in untold
        if (one.avatar_id, one.request_id) not in heard
    ]
    return outbox.owe(connection, owed, now)


def _trouble(training: Training) -> OwnerMessage:
    return OwnerMessage(
        training.avatar_id,
        training.name,
        training.request_id,
        Topic.TROUBLE_OURS,
        training.owner,
        trainer=training.trainer,
    )


def _failures(promises: Sequence[Waiting]) -> Select[*tuple[Any, ...]]:
    was_read = or_(
        _NOTES.state == NotificationState.SENT,
        and_(_NOTES.state == NotificationState.DEAD, _NOTES.reason == "outcome_unknown"),
    )
    return select(
        _NOTES.avatar_id,
        _NOTES.request_id,
        _NOTES.state,
        and_(was_read, _NOTES.cause == Cause.OUR_ACCOUNT).label("was_read"),
    ).where(
        _NOTES.kind == Topic.FAILED,
        _NOTES.avatar_id.in_({one.subject for one in promises}),
        _NOTES.request_id.in_({one.request_id for one in promises}),
    )


def _stuck(now: datetime) -> Select[*tuple[Any, ...]]:
    columns = deliveries.c
    # Of a delivery whose header and body disagree the header is signed for; the body may name anybody's.
    of = case(
        (columns.reason == "id_mismatch", columns.request_id),
        else_=func.coalesce(columns.fal_request_id, columns.request_id),
    )
    buried: ColumnElement[bool] = and_(
        columns.state == "dead", columns.finished_at <= now - TROUBLE_AFTER, columns.finished_at > now - LATELY
    )
    waits = and_(
        columns.state == "pending", columns.reason.in_(list(TOLD_BY)), columns.received_at <= now - TROUBLE_AFTER
    )
    return (
        select(columns.id, of.label("of"), columns.reason, columns.received_at, columns.stored_at)
        .where(columns.kind == JobKind.TRAINING, or_(buried, waits))
        .order_by(columns.id)
    )
