"""Series for charts, in equal steps of time, oldest first."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select
from sqlalchemy.engine import Connection

from app.db.tables import events, notifications
from app.db.views.conditions import first_id
from app.db.views.figures import PATIENCE
from app.db.views.time_limit import time_limit
from app.domain.history import EventKind

# Of SQLite's spelling of a moment, so many characters are one step; for PostgreSQL the length of a step.
STEPS = {
    "1h": (timedelta(hours=1), timedelta(minutes=1), 16),
    "6h": (timedelta(hours=6), timedelta(minutes=10), 15),
    "24h": (timedelta(hours=24), timedelta(minutes=60), 13),
    "7d": (timedelta(days=7), timedelta(hours=1), 13),
}
MOST_WAITS = 2_000  # newest messages of the time that waits are taken from
_SUCCESS, _FAILURE = ("completed",), ("failed",)


@dataclass(frozen=True, slots=True)
class Wait:
    """How long owners waited, from our receipt of fal's word to Telegram's receipt of ours, in s."""

    p50: float
    p95: float
    messages: int


@dataclass(frozen=True, slots=True)
class Charts:
    """`moments` are the beginnings of steps. One figure for each of them in the series.

    `success` is the share of completed trainings among those that ended, None where none did; `oldest` how long the
    oldest delivery that was applied in a step had waited, in s. `waits` are by trainer, over the whole time.
    """

    step: timedelta
    moments: list[datetime]
    applied: list[int]
    told: list[int]
    troubles: list[int]
    success: list[float | None]
    waits: dict[str, Wait] = field(default_factory=dict)
    oldest: list[float | None] = field(default_factory=list)


def charts(connection: Connection, now: datetime, period: str = "24h") -> Charts:
    """Read the series of one of STEPS' periods."""
    span, step, kept = STEPS[period]
    begin = _floor(now - span, step)
    moments = [begin + step * number for number in range(1, int(span / step) + 1)]
    with time_limit(connection, PATIENCE):
        counted = _counted(connection, moments[0], step, kept)
        waits, oldest = _waits(connection, moments[0], step)
    by_step: dict[datetime, dict[str, int]] = {moment: defaultdict(int) for moment in moments}
    for moment, kind, reason, rows in counted:
        if moment in by_step:
            by_step[moment][kind] += rows
            by_step[moment][f"{kind} {reason}"] += rows
    series = [by_step[moment] for moment in moments]
    return Charts(
        step,
        moments,
        [one[EventKind.APPLIED] for one in series],
        [one[EventKind.TOLD] for one in series],
        [one[EventKind.BURIED] + one[EventKind.POSTPONED] for one in series],
        [_share(one) for one in series],
        waits,
        [oldest.get(moment) for moment in moments],
    )


def _share(counted: dict[str, int]) -> float | None:
    good = sum(counted[f"{EventKind.APPLIED.value} {reason}"] for reason in _SUCCESS)
    bad = sum(counted[f"{EventKind.APPLIED.value} {reason}"] for reason in _FAILURE)
    return good / (good + bad) if good + bad else None


def _counted(
    connection: Connection, begin: datetime, step: timedelta, kept: int
) -> list[tuple[datetime, str, str | None, int]]:
    columns = events.c
    is_sqlite = connection.dialect.name == "sqlite"
    moment: ColumnElement[Any] = (
        func.substr(literal_column("webhook_events.at"), 1, kept)
        if is_sqlite
        else func.date_bin(step, columns.at, literal_column("TIMESTAMPTZ '2000-01-01 00:00:00+00'"))
    )
    found: list[tuple[datetime, str, str | None, int]] = []
    for kind in (EventKind.APPLIED, EventKind.TOLD, EventKind.BURIED, EventKind.POSTPONED):
        statement = (
            select(moment, columns.reason, func.count())
            .where(columns.kind == kind.value, columns.at >= begin)
            .group_by(moment, columns.reason)
        )
        for at, reason, rows in connection.execute(statement):
            found.append((_moment(at), kind.value, reason, rows))
    return found


def _moment(spelled: str | datetime) -> datetime:
    """Read the beginning of a step: SQLite gives its first characters."""
    if isinstance(spelled, datetime):
        return spelled.astimezone(UTC)
    full = spelled + "0000-00-00 00:00:00"[len(spelled) :]
    return datetime.fromisoformat(full).replace(tzinfo=UTC)


def _floor(moment: datetime, step: timedelta) -> datetime:
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return epoch + (moment.astimezone(UTC) - epoch) // step * step


def _waits(connection: Connection, begin: datetime, step: timedelta) -> tuple[dict[str, Wait], dict[datetime, float]]:
    told = notifications.c
    first = first_id(connection, notifications, begin)
    statement = (
        select(told.trainer, told.received_at, told.applied_at, told.finished_at, told.kind)
        .where(literal_column("webhook_notifications.state <> 'pending'"), told.state == "sent", told.id >= first)
        .order_by(told.id.desc())
        .limit(MOST_WAITS)
    )
    by_trainer: defaultdict[str, list[float]] = defaultdict(list)
    oldest: dict[datetime, float] = {}
    for trainer, received, applied, finished, kind in connection.execute(statement):
        if kind not in ("ready", "failed"):
            continue
        by_trainer[trainer or "?"].append((finished - received).total_seconds())
        moment, wait = _floor(applied, step), (applied - received).total_seconds()
        oldest[moment] = max(wait, oldest.get(moment, 0.0))
    waits = {trainer: _wait(sorted(times)) for trainer, times in sorted(by_trainer.items())}
    return waits, oldest


def _wait(times: Sequence[float]) -> Wait:
    return Wait(_quantile(times, 0.5), _quantile(times, 0.95), len(times))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
