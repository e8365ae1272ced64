"""All that is on record of one job, read at one moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, String, Table, Uuid, cast, false, func, or_, select, text
from sqlalchemy.engine import Connection

from app.db import drift
from app.db.retention import EMPTIED
from app.db.tables import deliveries, events, jobs, notifications
from app.db.trainings import BotTables
from app.domain.delivery import TRACEPARENT
from app.domain.history import Event
from app.domain.invented import Invented
from app.domain.story import StoryDelivery, StoryFacts, StoryJob, StoryLook, StoryMessage, StorySubject

_JOB = tuple(StoryJob.__dataclass_fields__)
_DELIVERY = tuple(name for name in StoryDelivery.__dataclass_fields__ if name not in ("is_emptied", "trace"))
_RENAMED = ("topic", "is_emptied")  # a message's topic stands in the column `kind`
_MESSAGE = tuple(name for name in StoryMessage.__dataclass_fields__ if name not in _RENAMED)


def read_story(
    connection: Connection,
    bot_tables: BotTables,
    invented: Invented,
    request_id: str,
    *,
    has_token: bool,
    now: datetime,
) -> StoryFacts:
    """Read the rows under fal's request id, the header's or the body's. On PostgreSQL it begins a transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    found = _deliveries(connection, request_id)
    names = {request_id, *(name for row in found for name in (row["request_id"], row["fal_request_id"]) if name)}
    ids = sorted(names)
    job = connection.execute(select(jobs).where(jobs.c.request_id.in_(ids)).order_by(jobs.c.id)).mappings().first()
    subjects = _subjects(connection, bot_tables, ids, None if job is None else job["subject"])
    told = _messages(connection, ids, [subject.id for subject in subjects])
    if not subjects and told:
        subjects = _subjects(connection, bot_tables, ids, told[0]["avatar_id"])
    return StoryFacts(
        request_id=request_id,
        job=None if job is None else StoryJob(**_picked(job, _JOB)),
        deliveries=tuple(
            StoryDelivery(**_picked(row, _DELIVERY), is_emptied=row["is_emptied"], trace=_trace(row)) for row in found
        ),
        messages=tuple(
            StoryMessage(**_picked(row, _MESSAGE), topic=row["kind"], is_emptied=row["detail"] == EMPTIED)
            for row in told
        ),
        subjects=tuple(subjects),
        has_token=has_token,
        drifted=next(iter(drift.find(connection, bot_tables, invented, now=now, request_ids=ids)), None),
        last_look=_last_look(connection),
        events=_events(connection, [row["id"] for row in found], [row["id"] for row in told]),
    )


def _events(connection: Connection, delivery_ids: Sequence[int], message_ids: Sequence[int]) -> tuple[Event, ...]:
    """Read the history of these rows, oldest first."""
    shown = [events.c[name] for name in Event._fields]
    lines = set()
    for name, ids in (("delivery_id", delivery_ids), ("notification_id", message_ids)):
        about = select(events.c.id, *shown).where(text(f"{name} IS NOT NULL"), events.c[name].in_(ids))
        lines |= set(map(tuple, connection.execute(about))) if ids else set()
    return tuple(Event(*line[1:]) for line in sorted(lines))


def _last_look(connection: Connection) -> StoryLook | None:
    """Find the last turn of looks, which are recorded at one moment. One at which fal said something speaks for all."""
    columns = jobs.c
    newest = select(func.max(columns.looked_at)).where(columns.looked_at.is_not(None)).scalar_subquery()
    is_said = func.coalesce(columns.said_at == columns.looked_at, false())
    looks = select(columns.looked_at, columns.reason, is_said).where(
        columns.looked_at.is_not(None), columns.looked_at == newest
    )
    found = connection.execute(looks.order_by(is_said.desc(), columns.id).limit(1)).one_or_none()
    if found is None:
        return None
    at, reason, said = found
    return StoryLook(at, None if said else reason)


def _picked(row: RowMapping, names: Sequence[str]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def _trace(row: RowMapping) -> str | None:
    headers: dict[str, str] = orjson.loads(row["headers"])
    return headers.get(TRACEPARENT)


def _deliveries(connection: Connection, request_id: str) -> list[RowMapping]:
    columns = deliveries.c
    shown = [columns[name] for name in (*_DELIVERY, "request_id", "fal_request_id", "headers")]
    statement = (
        select(*shown, columns.body.is_(None).label("is_emptied"))
        .where(or_(columns.request_id == request_id, columns.fal_request_id == request_id))
        .order_by(columns.id)
    )
    return list(connection.execute(statement).mappings())


def _messages(connection: Connection, ids: Sequence[str], subjects: Sequence[str]) -> list[RowMapping]:
    """Find messages by their subject, which has an index; where that finds none, by looking through all."""
    columns = notifications.c
    ours = select(notifications).where(columns.request_id.in_(ids)).order_by(columns.id)
    found = list(connection.execute(ours.where(columns.avatar_id.in_(subjects))).mappings()) if subjects else []
    return found or list(connection.execute(ours).mappings())


def _subjects(
    connection: Connection, bot_tables: BotTables, ids: Sequence[str], subject: str | None
) -> list[StorySubject]:
    """Find the avatars that carry the request id; where there is none, the one that the job was about."""
    avatars = bot_tables.avatars
    carriers = _rows(connection, avatars, avatars.c.fal_request_id.in_(ids), is_carrier=True)
    if carriers or subject is None:
        return carriers
    try:
        key = UUID(subject) if isinstance(avatars.c.id.type, Uuid) else subject
    except ValueError:
        return []
    return _rows(connection, avatars, avatars.c.id == key, is_carrier=False)


def _rows(connection: Connection, avatars: Table, where: Any, *, is_carrier: bool) -> list[StorySubject]:
    columns = avatars.c
    statement = select(columns.id, cast(columns.status, String)).where(where)
    return [
        StorySubject(str(key), str(status).lower(), is_carrier)
        for key, status in connection.execute(statement.order_by(columns.id))
    ]
