"""Series for charts, in equal steps of time, oldest first."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import String, column, func, literal_column, select, true, values
from sqlalchemy.engine import Connection

from app.db.engine import UtcDateTime
from app.db.tables import events, notifications
from app.db.views.figures import PATIENCE
from app.db.views.time_limit import time_limit
from app.db.views.walks import distinct, first_since
from app.domain.history import EventKind

STEPS = {  # (the whole time, one step of it)
    "1h": (timedelta(hours=1), timedelta(minutes=1)),
    "6h": (timedelta(hours=6), timedelta(minutes=10)),
    "24h": (timedelta(hours=24), timedelta(hours=1)),
    "7d": (timedelta(days=7), timedelta(hours=3)),
}
MOST_WAITS = 2_000  # newest messages of the time that waits are taken from
_SUCCESS, _FAILURE = ("completed",), ("failed",)
_KINDS = tuple(kind.value for kind in (EventKind.APPLIED, EventKind.TOLD, EventKind.BURIED, EventKind.POSTPONED))


@dataclass(frozen=True, slots=True)
class OwnerWait:
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
    waits: dict[str, OwnerWait] = field(default_factory=dict)
    oldest: list[float | None] = field(default_factory=list)


def charts(connection: Connection, now: datetime, period: str = "24h") -> Charts:
    """Read the series of one of STEPS' periods."""
    span, step = STEPS[period]
    begin = _floor(now - span, step)
    moments = [begin + step * number for number in range(1, int(span / step) + 1)]
    with time_limit(connection, PATIENCE):
        counted = list(_counted(connection, moments, step))
        waits, oldest = _waits(connection, moments[0], step)
    by_step: dict[datetime, dict[str, int]] = {moment: defaultdict(int) for moment in moments}
    for moment, kind, reason, rows in counted:
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
    connection: Connection, moments: Sequence[datetime], step: timedelta
) -> Iterator[tuple[datetime, str, str, int]]:
    """Count lines by step, kind and reason: each is a range of the index, and no row is read."""
    columns = events.c
    asked = [(kind, one) for kind in _KINDS for one in distinct(connection, columns.reason, columns.kind == kind)]
    if not asked:
        return
    times = values(column("begin", UtcDateTime), column("until", UtcDateTime)).data([(at, at + step) for at in moments])
    lines = values(column("kind", String), column("reason", String)).data(asked)
    steps, named = times.cte("steps"), lines.cte("named")
    counted = (
        select(func.count())
        .where(
            columns.kind == named.c.kind,
            columns.reason == named.c.reason,
            columns.at >= steps.c.begin,
            columns.at < steps.c.until,
        )
        .correlate(steps, named)
        .scalar_subquery()
    )
    found = select(steps.c.begin, named.c.kind, named.c.reason, counted).join_from(steps, named, true())
    yield from (tuple(row) for row in connection.execute(found))


def _floor(moment: datetime, step: timedelta) -> datetime:
    epoch = datetime(2000, 1, 1, tzinfo=UTC)
    return epoch + (moment.astimezone(UTC) - epoch) // step * step


def _waits(
    connection: Connection, begin: datetime, step: timedelta
) -> tuple[dict[str, OwnerWait], dict[datetime, float]]:
    told = notifications.c
    first = first_since(connection, notifications, notifications.c.applied_at, begin)
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


def _wait(times: Sequence[float]) -> OwnerWait:
    return OwnerWait(_quantile(times, 0.5), _quantile(times, 0.95), len(times))


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
