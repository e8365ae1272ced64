"""Figures over a time: errors by reason, whether nothing was lost, charts, and what operators did."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, func, select
from sqlalchemy.engine import Connection

from app.db import job_facts
from app.db import totals as kept
from app.db.plain_rows import plain_rows
from app.db.tables import deliveries, events, jobs, notifications
from app.db.views import totals
from app.db.views.conditions import CAME, in_state
from app.db.views.time_limit import time_limit
from app.db.views.walks import first_since
from app.domain.history import ACTS, EventKind

PERIODS = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(hours=24), "7d": timedelta(days=7)}
PATIENCE = 2.0  # s
TROUBLES = (EventKind.BURIED, EventKind.POSTPONED, EventKind.ASKED)


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """One reason, in one queue: how often in each of PERIODS, the last time, and how many rows are dead by it now."""

    queue: str
    reason: str
    times: dict[str, int]
    last_at: datetime


def errors(connection: Connection, now: datetime) -> list[ErrorGroup]:
    """Group what failed, was postponed or buried in the last seven days, the most frequent of a day first.

    The history keeps the first, second, fourth, eighth … failure of a row, so a row that fails on and on counts for
    little; one that waits counts once for each reason that it waits by.
    """
    columns = events.c
    of = ("delivery_id", "notification_id")
    counts = [
        func.count().filter(columns.at >= now - span) if name != "7d" else func.count()
        for name, span in PERIODS.items()
    ]
    grouped = (
        select(*(columns[name].is_not(None) for name in of), columns.reason, *counts, func.max(columns.at))
        .where(columns.kind.in_([kind.value for kind in TROUBLES]), columns.at >= now - PERIODS["7d"])
        .group_by(*(columns[name].is_not(None) for name in of), columns.reason)
    )
    with time_limit(connection, PATIENCE):
        found = [
            ErrorGroup(
                _queue(is_delivery, is_message),
                str(reason or ""),
                dict(zip(PERIODS, times, strict=True)),
                last_at,
            )
            for is_delivery, is_message, reason, *times, last_at in connection.execute(grouped)
        ]
    return sorted(found, key=lambda group: (-group.times["24h"], -group.times["7d"], group.queue, group.reason))


def _queue(is_delivery: object, is_message: object) -> str:
    if is_delivery:
        return "deliveries"
    return "notifications" if is_message else "jobs"


@dataclass(frozen=True, slots=True)
class Balance:
    """Whether nothing was lost since `since`: what came in, and where each of it is now.

    `jobs`, `deliveries` and `messages` count rows that came since then, by their state now; what is in none of these
    would be lost. `recovered` results were fetched from fal because no webhook came; `mended` rows had drifted.
    `unresolved` is everything that waits for the operator, since ever: dead rows by queue, and jobs that are overdue.
    """

    since: datetime
    jobs: dict[str, int]
    deliveries: dict[str, int]
    messages: dict[str, int]
    recovered: int
    mended: int
    oldest_waiting: datetime | None
    unresolved: dict[str, int]

    @property
    def submitted(self) -> int:
        """Count the jobs that were submitted or first seen."""
        return sum(self.jobs.values())

    @property
    def received(self) -> int:
        """Count the deliveries that were stored."""
        return sum(self.deliveries.values())

    @property
    def applied(self) -> int:
        """Count those of them that are applied."""
        return self.deliveries.get("done", 0)

    @property
    def told(self) -> int:
        """Count the messages that arrived."""
        return self.messages.get("sent", 0)


STATES = {**kept.STATES, jobs: ("pending", "historic", "done", "dead")}


def balance(connection: Connection, now: datetime) -> Balance:
    """Balance what came in during the last 24 hours."""
    since = now - PERIODS["24h"]
    with time_limit(connection, PATIENCE):
        counted = {table.name: _by_state(connection, table, since) for table in (jobs, deliveries, notifications)}
        events_of = {kind: _happened(connection, kind, since) for kind in (EventKind.RECOVERED, EventKind.DRIFTED)}
        figures = totals(connection, now)
        facts = job_facts.count(connection, now)
        return Balance(
            since,
            counted[jobs.name],
            counted[deliveries.name],
            counted[notifications.name],
            events_of[EventKind.RECOVERED],
            events_of[EventKind.DRIFTED],
            figures["oldest_pending"],
            {
                "deliveries": figures["deliveries"]["dead"],
                "notifications": figures["notifications"]["dead"],
                "jobs": facts.dead,
                "overdue": facts.overdue,
            },
        )


def _by_state(connection: Connection, table: Table, since: datetime) -> dict[str, int]:
    """Count by the index on states: the rows themselves hold bodies."""
    first = first_since(connection, table, CAME[table.name], since)
    amounts = {}
    for state in STATES[table]:
        counted = select(func.count()).select_from(table).where(*in_state(table, state), table.c.id >= first)
        amounts[state] = connection.execute(counted).scalar_one()
    return amounts


def _happened(connection: Connection, kind: EventKind, since: datetime) -> int:
    counted = select(func.count()).select_from(events).where(events.c.kind == kind.value, events.c.at >= since)
    return int(connection.execute(counted).scalar_one())


def audit(
    connection: Connection,
    *,
    before: int | None = None,
    limit: int = 50,
    who: str | None = None,
    kinds: Sequence[EventKind] = ACTS,
) -> list[dict[str, Any]]:
    """List what operators did, or what else is of these kinds, newest first; `before` is the last line's id."""
    columns = events.c
    found: list[dict[str, Any]] = []
    for kind in kinds:
        acts = select(events).where(columns.kind == kind.value).order_by((columns.id + 0).desc())
        if before is not None:
            acts = acts.where(columns.id < before)
        if who is not None:
            acts = acts.where(columns.who == who)
        found += plain_rows(connection, acts.limit(limit))
    return sorted(found, key=lambda row: -row["id"])[:limit]
