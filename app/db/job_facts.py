"""What is to be seen of jobs at a look: one pass over the open ones, and by index what of the others ended lately."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    Table,
    and_,
    bindparam,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.engine import Connection

from app.db.engine import UtcDateTime
from app.db.jobs import HAS_COME
from app.db.submissions import UNKNOWN
from app.db.tables import deliveries, jobs, notifications
from app.domain.job import Stage
from app.domain.job_alarms import AT_WORK_LATE, FIRST_IN_LINE, LATELY, OFTEN, UNHEARD, JobFacts
from app.domain.look import Trouble
from app.domain.promise import Hold

UNSEEN = "new"  # the stage of open jobs that fal was not asked about yet
TROUBLES = (Trouble.ACCOUNT_LOCKED, Trouble.FAL_KEY_REFUSED, Trouble.NO_FAL_KEY)


def count(connection: Connection, now: datetime) -> JobFacts:
    """Count what is open and overdue, what ended badly of late, and what waits for a key or an account."""
    moments = {
        "at_work": now - AT_WORK_LATE,
        "queued": now - FIRST_IN_LINE,
        "unheard": now - UNHEARD,
        "lately": now - LATELY,
    }
    by_stage = {UNSEEN: 0, **{stage.value: 0 for stage in Stage}}
    overdue, waiting = 0, [0] * len(TROUBLES)
    for stage, rows, late, *troubled in connection.execute(_OPEN, moments):
        by_stage[stage or UNSEEN] = rows
        overdue += late
        waiting = [one + other for one, other in zip(waiting, troubled, strict=True)]
    dead, unpaid, gone, absent, drifted, often, promised, *results = connection.execute(_ENDED, moments).one()
    locked, refused, keyless = (one + other for one, other in zip(waiting, results, strict=True))
    return JobFacts(
        by_stage=by_stage,
        overdue=overdue,
        dead=dead,
        gone=gone,
        absent=absent,
        drifted=drifted,
        often_drifted=often,
        locked=locked + promised + unpaid,
        refused=refused,
        keyless=keyless,
        keyless_results=results[-1],
    )


def is_refused(connection: Connection, now: datetime) -> bool:
    """Tell whether fal has refused a submission for our account LATELY and has not worked for it since."""
    return connection.execute(_REFUSED, {"lately": now - LATELY}).first() is not None


def served(connection: Connection, now: datetime) -> None:
    """Note that fal works for our account: the submissions that it refused are over."""
    connection.execute(_SERVED.values(said_at=now))


def _moment(name: str) -> ColumnElement[datetime]:
    return bindparam(name, type_=UtcDateTime())


def _of(table: Table, condition: str, *where: ColumnElement[bool]) -> ScalarSelect[int]:
    """Count rows. SQLite takes an index with a condition only where a query spells the same condition out."""
    return select(func.count()).select_from(table).where(text(condition), *where).scalar_subquery()


# Built once: building them takes longer than running them.
_COLUMNS = jobs.c
_OVERDUE = or_(
    and_(_COLUMNS.stage.is_distinct_from(Stage.QUEUED.value), _COLUMNS.at_work_since < _moment("at_work")),
    and_(_COLUMNS.stage == Stage.QUEUED.value, _COLUMNS.position == 0, _COLUMNS.stage_since < _moment("queued")),
    func.coalesce(_COLUMNS.said_at, _COLUMNS.first_seen_at) < _moment("unheard"),
)
# A submission that fal refused was told to whoever submitted it; a locked account is the operator's, too.
_SAID = or_(_COLUMNS.request_id.is_not(None), _COLUMNS.reason == UNKNOWN)
# A submission that was refused is never asked about; `said_at` is when fal worked for the account again (`served`).
_STILL_LOCKED = and_(
    func.coalesce(_COLUMNS.request_id, "") == "",  # IS NULL would draw SQLite away from the few dead rows
    _COLUMNS.reason == Trouble.ACCOUNT_LOCKED.value,
    _COLUMNS.said_at.is_(None),
)
_REFUSED = (
    select(_COLUMNS.id).where(text("state = 'dead'"), _COLUMNS.finished_at > _moment("lately"), _STILL_LOCKED).limit(1)
)
_SERVED = update(jobs).where(text("state = 'dead'"), _STILL_LOCKED)
# While its delivery is in the inbox a job is not asked about, and waits for no key and no account.
_OPEN: Select[Any] = (
    select(
        _COLUMNS.stage,
        func.count(),
        func.count().filter(_OVERDUE),
        *(func.count().filter(_COLUMNS.reason == trouble.value, ~HAS_COME) for trouble in TROUBLES),
    )
    .where(text("state = 'pending'"))
    .group_by(_COLUMNS.stage)
)
_ENDED = select(
    _of(jobs, "state = 'dead'", _COLUMNS.finished_at > _moment("lately"), _SAID),
    _of(jobs, "state = 'dead'", _COLUMNS.finished_at > _moment("lately"), _STILL_LOCKED),
    _of(jobs, "outcome = 'gone'", _COLUMNS.finished_at > _moment("lately")),
    _of(jobs, "artifact = 'absent'", _COLUMNS.finished_at > _moment("lately")),
    _of(jobs, "drifted_at IS NOT NULL", _COLUMNS.drifted_at > _moment("lately")),
    _of(jobs, "drifted_at IS NOT NULL", _COLUMNS.drifted_at > _moment("lately"), _COLUMNS.drifts >= OFTEN),
    _of(notifications, "state = 'pending'", notifications.c.reason == Hold.ACCOUNT.value),
    *(
        _of(deliveries, "state = 'pending' AND reason IS NOT NULL", deliveries.c.reason == trouble.value)
        for trouble in TROUBLES
    ),
)
