"""The operator's alerts: one row per name, written in the transaction that owes the message about it."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import ColumnElement, Table, case, delete, func, or_, select
from sqlalchemy.engine import Connection, RowMapping

from app.db import outbox, totals
from app.db.bulk_update import UpdateMany
from app.db.engine import upsert_into
from app.db.outbox import NO_DELIVERY
from app.db.overtaking import SENDING
from app.db.owed import Owed
from app.db.tables import alerts, deliveries, jobs, notifications
from app.domain.alert import Alarm, Alert, AlertLevel, unopened
from app.domain.alert_rules import BEFORE, ORPHAN_LATE, RECENT, FailureRate, QueueFacts
from app.domain.job import JobKind, JobOutcome, JobState
from app.domain.notification import Notification, Topic
from app.domain.promise import Hold

# An alert that cannot be told must raise no other.
_OWNERS = notifications.c.kind.not_in([Topic.ALERT, Topic.RESOLVED, Topic.DIGEST])
# Rows that an operator made due just now, that are being sent, or that are held, are old but have not been waiting.
_WAITS = or_(notifications.c.reason.is_(None), notifications.c.reason.not_in(["redriven", SENDING, *Hold]))
_SAVE = UpdateMany(
    alerts, match=["name"], given=[column.name for column in alerts.c if column.name not in ("name", "machine")]
)


def count_queues(connection: Connection, now: datetime) -> QueueFacts:
    """Look at both queues, by index but for what is pending. Nobody can mend that an owner left the bot."""
    to_mend = (notifications.c.reason != "owner_unreachable", _OWNERS)
    is_real = deliveries.c.kind != totals.UNCOUNTED
    due = deliveries.c.state == "pending"
    # A row that somebody has locked is postponed again and again and so never overdue: count from its arrival.
    waits_since = case((deliveries.c.reason == "locked", deliveries.c.stored_at), else_=deliveries.c.due_at)
    orphaned = (due, deliveries.c.reason == "orphan", deliveries.c.received_at < now - ORPHAN_LATE)
    owed = notifications.c.state == "pending"
    refused = (owed, notifications.c.reason == "token_refused", notifications.c.kind != totals.UNCOUNTED)
    statement = select(
        select(func.min(waits_since)).where(due, is_real).scalar_subquery(),
        select(func.min(notifications.c.applied_at)).where(*refused).scalar_subquery(),
        select(func.min(notifications.c.applied_at)).where(owed, _OWNERS, _WAITS).scalar_subquery(),
        select(func.count()).select_from(deliveries).where(*orphaned).scalar_subquery(),
    )
    return QueueFacts(
        _by_reason(connection, deliveries, is_real), _by_reason(connection, notifications, *to_mend),
        *connection.execute(statement).one(),
    )  # fmt: skip


def count_failures(connection: Connection) -> FailureRate:
    """Count failures among the trainings that ended last, newest first; an end of another kind says nothing."""
    ended = (
        select(jobs.c.outcome)
        .where(
            jobs.c.state == JobState.DONE,
            jobs.c.kind == JobKind.TRAINING,
            jobs.c.outcome.in_([JobOutcome.COMPLETED, JobOutcome.FAILED]),
        )
        .order_by(jobs.c.finished_at.desc())
        .limit(RECENT + BEFORE)
    )
    failed = [outcome == JobOutcome.FAILED for outcome in connection.execute(ended).scalars()]
    recent, before = failed[:RECENT], failed[RECENT:]
    return FailureRate(len(recent), sum(recent), len(before), sum(before))


def load(connection: Connection, machine: str, alarms: Sequence[Alarm], now: datetime) -> list[Alert]:
    """Take the rows of one machine ('' for the shared ones) until the commit; alarms that have none get theirs."""
    if alarms:  # a row that is not there cannot be locked
        rows = [asdict(unopened(alarm, now)) for alarm in sorted(alarms, key=lambda alarm: alarm.name)]
        connection.execute(upsert_into(connection, alerts).on_conflict_do_nothing(), rows)
    return _locked(connection, alerts.c.machine == machine)


def lost(connection: Connection, before: datetime) -> list[Alert]:
    """Find open alerts of machines that have not looked since `before`."""
    last_look = func.coalesce(alerts.c.gone_at, alerts.c.seen_at)
    return _locked(connection, alerts.c.machine != "", alerts.c.resolved_at.is_(None), last_look < before)


def save(connection: Connection, changed: Sequence[Alert]) -> None:
    """Write rows that `load` or `lost` took."""
    if changed:
        rows = [asdict(alert) for alert in changed]
        _SAVE(connection, [(row, row) for row in rows])


def forget(connection: Connection, before: datetime) -> None:
    """Drop alerts that were over before then."""
    connection.execute(delete(alerts).where(alerts.c.resolved_at < before))


def tell(connection: Connection, news: Sequence[Notification], now: datetime) -> int:
    """Owe the operator these messages, in the outbox beside the owners'; return how many are new.

    What was owed once is not owed again.
    """
    return outbox.owe(connection, [Owed(item, NO_DELIVERY, now, now) for item in news], now)


def open_now(connection: Connection) -> list[Alert]:
    """List alerts that are not over, the worst first."""
    worst_first = case((alerts.c.level == AlertLevel.CRITICAL, 0), else_=1)
    still_open = select(alerts).where(alerts.c.resolved_at.is_(None)).order_by(worst_first, alerts.c.opened_at)
    return [_alert(row) for row in connection.execute(still_open).mappings()]


def has_critical(connection: Connection) -> bool:
    """Tell whether a critical alert is open on any machine."""
    statement = select(alerts.c.name).where(alerts.c.level == AlertLevel.CRITICAL, alerts.c.resolved_at.is_(None))
    return connection.execute(statement.limit(1)).first() is not None


def _by_reason(connection: Connection, table: Table, *where: ColumnElement[bool]) -> dict[str, int]:
    statement = select(table.c.reason, func.count()).where(table.c.state == "dead", *where).group_by(table.c.reason)
    return {str(reason): count for reason, count in connection.execute(statement)}


def _locked(connection: Connection, *where: ColumnElement[bool]) -> list[Alert]:
    statement = select(alerts).where(*where).order_by(alerts.c.name).with_for_update()
    return [_alert(row) for row in (connection.execute(statement)).mappings()]


def _alert(row: RowMapping) -> Alert:
    told_level = None if row["told_level"] is None else AlertLevel(row["told_level"])
    return Alert(**{**row, "level": AlertLevel(row["level"]), "told_level": told_level})
