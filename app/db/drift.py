"""Finished jobs whose rows were spoilt afterwards: found, and their deliveries made due again."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Column, ColumnElement, Row, Select, Table, Text, and_, cast, false, func, or_, select, update
from sqlalchemy.engine import Connection

from app.db import events, inbox, totals, wake
from app.db.bot_values import read_status, read_trainer
from app.db.tables import deliveries, jobs
from app.db.trainings import BotTables, Unmet
from app.domain.delivery import Delivery, DeliveryState
from app.domain.drift import DriftedJob, find_drift
from app.domain.history import Event, EventKind
from app.domain.invented import Invented
from app.domain.job import JobKind, JobOutcome, JobState
from app.domain.training import Artifacts, TrainingStatus

DRIFT = "drift"  # the reason of a delivery that is applied once more
KEPT = timedelta(days=30)  # how long a job that has ended is held against its row
LIMIT = 2000  # rows of one look
DAY = timedelta(days=1)
_ENDS = (JobOutcome.COMPLETED, JobOutcome.FAILED, JobOutcome.GONE)
_BACK = (DeliveryState.DONE, DeliveryState.PENDING)
_AGAIN = {"state": DeliveryState.PENDING, "reason": DRIFT, "detail": None, "failures": 0, "finished_at": None}


def find(
    connection: Connection,
    bot_tables: BotTables,
    invented: Invented,
    *,
    now: datetime,
    request_ids: Sequence[str] | None = None,
) -> list[DriftedJob]:
    """Find jobs that ended within KEPT and whose row contradicts them now; `request_ids` looks at these only."""
    statement = _spoilt(bot_tables, now)
    if request_ids is not None:
        statement = statement.where(jobs.c.request_id.in_(request_ids))
    found = [_drifted(row, invented) for row in connection.execute(statement.limit(LIMIT))]
    return [job for job in found if job is not None]


def _spoilt(bot_tables: BotTables, now: datetime) -> Select[*tuple[Any, ...]]:
    """Join the jobs with the rows that still carry their request ids, and may have drifted.

    Which of them have is read from the rows: patterns over all of them would cost seconds.
    """
    avatars, columns = bot_tables.avatars, jobs.c
    held = avatars.c
    is_success = columns.outcome == JobOutcome.COMPLETED
    is_other = or_(
        held.diffusers_lora_file_url.is_distinct_from(columns.lora_url),
        held.finetune_id.is_distinct_from(columns.finetune_id),
    )
    holds_any = or_(held.diffusers_lora_file_url.is_not(None), held.finetune_id.is_not(None))
    return (
        select(
            columns.id,
            columns.request_id,
            columns.subject,
            columns.outcome,
            columns.lora_url,
            columns.config_url,
            columns.finetune_id,
            columns.detail,
            columns.delivery_id,
            columns.drifts,
            columns.drifted_at,
            held.id.label("avatar_id"),
            held.training_type,
            held.status,
            held.diffusers_lora_file_url.label("held_lora_url"),
            held.config_file_url.label("held_config_url"),
            held.finetune_id.label("held_finetune_id"),
        )
        .join_from(jobs, avatars, held.fal_request_id == columns.request_id)
        .where(
            columns.state == JobState.DONE,
            columns.finished_at >= now - KEPT,
            columns.kind == JobKind.TRAINING,
            columns.outcome.in_(_ENDS),
            or_(
                stands_at(avatars, TrainingStatus.TRAINING),
                and_(stands_at(avatars, TrainingStatus.ERROR), or_(is_success, holds_any)),
                and_(stands_at(avatars, TrainingStatus.COMPLETED), or_(~is_success, is_other)),
            ),
        )
        .order_by(columns.id.desc())
    )


def _drifted(row: Row[*tuple[Any, ...]], invented: Invented) -> DriftedJob | None:
    if row.subject is not None and row.subject != str(row.avatar_id):
        return None  # another avatar has taken the request id over
    held = Artifacts(lora_url=row.held_lora_url, config_url=row.held_config_url, finetune_id=row.held_finetune_id)
    outcome = JobOutcome(row.outcome)
    found = find_drift(read_status(row.status), read_trainer(row.training_type), held, outcome, invented)
    if found is None:
        return None
    return DriftedJob(
        id=row.id,
        request_id=row.request_id,
        subject=str(row.avatar_id),
        found=found,
        outcome=outcome,
        artifacts=Artifacts(lora_url=row.lora_url, config_url=row.config_url, finetune_id=row.finetune_id),
        detail=row.detail,
        delivery_id=row.delivery_id,
        drifts=row.drifts,
        drifted_at=row.drifted_at,
    )


def mend(
    connection: Connection,
    drifted: Sequence[DriftedJob],
    restore: Callable[[DriftedJob], Delivery],
    now: datetime,
) -> list[DriftedJob]:
    """Make the deliveries that ended these jobs due again, and count it; return the jobs whose delivery is due.

    A delivery that retention has emptied is written anew by `restore`. One that an operator has to decide about (dead),
    or did (ignored), and one that is due already stay as they are.
    """
    if not drifted:
        return []
    ids = {job.delivery_id for job in drifted if job.delivery_id is not None}
    columns = deliveries.c
    whole = update(deliveries).where(
        columns.id.in_(ids), columns.state == DeliveryState.DONE, columns.body.is_not(None)
    )
    again = whole.values(due_at=now, attempt=columns.attempt + 1, **_AGAIN).returning(columns.id)
    due = set(connection.execute(again).scalars())
    totals.add(connection, totals.moved(deliveries, [_BACK] * len(due)))
    is_emptied = and_(columns.state == DeliveryState.DONE, columns.body.is_(None))
    others = select(columns.id).where(columns.id.in_(ids - due), ~is_emptied)
    kept = set(connection.execute(others).scalars()) if ids - due else set()
    mended = [job for job in drifted if job.delivery_id in due]
    mended += _restored(connection, [job for job in drifted if job.delivery_id not in due | kept], restore, now)
    if not mended:
        return []
    counted = update(jobs).where(jobs.c.id.in_([job.id for job in mended]))
    connection.execute(counted.values(drifts=jobs.c.drifts + 1, drifted_at=now))
    kind = EventKind.DRIFTED.value
    events.note(connection, [Event(now, kind, job.delivery_id, job_id=job.id, reason=job.found) for job in mended])
    wake.announce(connection, wake.WakeTopic.INBOX)
    return mended


def _restored(
    connection: Connection, jobs_: Sequence[DriftedJob], restore: Callable[[DriftedJob], Delivery], now: datetime
) -> list[DriftedJob]:
    """Store what the jobs keep of their ends; it may have been stored before, and emptied since."""
    if not jobs_:
        return []
    restored = [restore(job) for job in jobs_]
    receipts = inbox.put(connection, [(delivery, now) for delivery in restored])
    columns = deliveries.c
    mended = []
    for job, delivery, receipt in zip(jobs_, restored, receipts, strict=True):  # few: bodies stay as long as jobs do
        is_new = and_(columns.id == receipt.id, columns.state == DeliveryState.PENDING)
        is_old = and_(columns.id == receipt.id, columns.state == DeliveryState.DONE)
        values = {"due_at": now, "attempt": columns.attempt + 1, "body": delivery.body, **_AGAIN}
        made = update(deliveries).where(is_new if receipt.new else is_old).values(values)
        if connection.execute(made).rowcount:
            mended.append(job)
            if not receipt.new:
                totals.add(connection, totals.moved(deliveries, [_BACK]))
    return mended


def redrivable(
    connection: Connection, bot_tables: BotTables, invented: Invented, ids: Sequence[int], now: datetime
) -> list[int]:
    """Name those of these deliveries that are done and about a job whose row has drifted since."""
    columns = deliveries.c
    done = select(columns.id, func.coalesce(columns.fal_request_id, columns.request_id)).where(
        columns.id.in_(ids), columns.state == DeliveryState.DONE
    )
    about = [(row_id, request_id) for row_id, request_id in connection.execute(done)]
    request_ids = sorted({request_id for _, request_id in about})
    drifted = {job.request_id for job in find(connection, bot_tables, invented, now=now, request_ids=request_ids)}
    return [row_id for row_id, request_id in about if request_id in drifted]


def traces(connection: Connection, bot_tables: BotTables, invented: Invented, now: datetime) -> tuple[int, int]:
    """Count what the bot's own poller leaves behind: rows that hold something invented, and drifts in the last day.

    Looks through the whole table of avatars.
    """
    avatars = bot_tables.avatars
    holding = select(func.count()).select_from(avatars).where(is_invented(avatars, invented))
    drifted = select(func.count()).where(
        jobs.c.state == JobState.DONE, jobs.c.finished_at >= now - KEPT - DAY, jobs.c.drifted_at >= now - DAY
    )
    rows, drifts = connection.execute(select(holding.scalar_subquery(), drifted.scalar_subquery())).one()
    return int(rows), int(drifts)


def unmet(connection: Connection, bot_tables: BotTables, invented: Invented, *, old_before: datetime) -> list[Unmet]:
    """Find completed rows that hold an invented artifact and have no job: the bot ended them during an outage of ours.

    Looks through the whole table of avatars.
    """
    avatars = bot_tables.avatars
    where = and_(stands_at(avatars, TrainingStatus.COMPLETED), is_invented(avatars, invented))
    return [one for one in bot_tables.unmet(connection, old_before=old_before, where=where) if not one.is_old]


def stands_at(avatars: Table, status: TrainingStatus) -> ColumnElement[bool]:
    """Tell whether a row stands at a status, in either of the bot's spellings."""
    return cast(avatars.c.status, Text).in_([status.value, status.value.upper()])


def is_invented(avatars: Table, invented: Invented) -> ColumnElement[bool]:
    """Tell whether the LoRA or the finetune id of a row is invented, in the spelling of INVENTED_ARTIFACTS."""
    lora_url, finetune_id = avatars.c.diffusers_lora_file_url, avatars.c.finetune_id
    return or_(
        false(),
        *(_has(lora_url, f"{before}{host}/") for host in invented.hosts for before in ("//", ".")),
        *(finetune_id.startswith(prefix, autoescape=True) for prefix in invented.prefixes),
    )


def _has(column: Column[str], part: str) -> ColumnElement[bool]:
    return column.contains(part, autoescape=True)
