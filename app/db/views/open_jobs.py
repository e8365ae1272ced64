"""The page of jobs: how far each is at fal, how long such a job takes as a rule, and whether it is late."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import literal_column, select
from sqlalchemy.engine import Connection

from app.db.operator_queries import Queue
from app.db.tables import jobs
from app.db.views.pages import Page, page
from app.domain.job_alarms import AT_WORK_LATE, FIRST_IN_LINE, UNHEARD
from app.domain.progress import Usual, usual
from app.domain.search import Search
from app.domain.trainer import Trainer

PAST = 1_000  # jobs of all endpoints that the usual time is learnt from


def jobs_page(
    connection: Connection,
    search: Search,
    *,
    now: datetime,
    trainer_of: Callable[[str], Trainer | None],
    before: int | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Page:
    """Read a page as `page` does; each row has more: `usual` and `usual_late` (timedelta), `ends_at`, `is_late`.

    `usual` is how long half of such trainings were at work, `usual_late` nearly all; `ends_at` is expected by the
    first. They and `ends_at` are None for kinds that are no training, and before fal has begun.
    """
    found = page(connection, Queue.JOBS, search, before=before, after=after, limit=limit)
    past = _times_at_work(connection) if found.rows else {}
    rows = []
    for row in found.rows:
        endpoint = row["endpoint"] or ""
        times = usual(past.get(endpoint, []), trainer_of(endpoint)) if row["kind"] == "training" else None
        began, is_open = row["at_work_since"], row["state"] == "pending"
        rows.append(
            {
                **row,
                "usual": None if times is None else times.likely,
                "usual_late": None if times is None else times.late,
                "ends_at": began + times.likely if is_open and times is not None and began is not None else None,
                "is_late": is_open and _is_late(row, times, now),
            }
        )
    return replace(found, rows=rows)


def _is_late(row: dict[str, object], times: Usual | None, now: datetime) -> bool:
    began, seen, said = row["at_work_since"], row["first_seen_at"], row["said_at"]
    heard = said if isinstance(said, datetime) else seen
    assert isinstance(heard, datetime), "a job was seen"
    if now - heard > UNHEARD:
        return True
    queued = row["stage_since"]
    if row["stage"] == "queued" and row["position"] == 0 and isinstance(queued, datetime):
        return now - queued > FIRST_IN_LINE
    late = AT_WORK_LATE if times is None else min(times.late, AT_WORK_LATE)
    return isinstance(began, datetime) and row["stage"] != "queued" and now - began > late


def _times_at_work(connection: Connection) -> dict[str, list[timedelta]]:
    """List how long the last successful trainings were at work, by endpoint, as far as we saw them begin."""
    ended = (
        select(jobs.c.endpoint, jobs.c.at_work_since, jobs.c.finished_at, jobs.c.outcome)
        .where(literal_column("webhook_jobs.state = 'done'"), jobs.c.finished_at.is_not(None))
        .order_by(jobs.c.finished_at.desc())
        .limit(PAST)
    )
    times: defaultdict[str, list[timedelta]] = defaultdict(list)
    for endpoint, began, finished, outcome in connection.execute(ended):
        if outcome == "completed" and began is not None and finished > began:
            times[endpoint or ""].append(finished - began)
    return times
