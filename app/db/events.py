"""The history: lines that are written in the commit of what they tell about, and never changed."""

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import JSON, Executable, Text, bindparam, cast, column, delete, func, insert, select
from sqlalchemy.engine import Connection

from app.db.bulk_update import spell_moment
from app.db.tables import events
from app.domain.history import Event

_GIVEN = Event._fields
_INSERT = f"INSERT INTO webhook_events ({', '.join(_GIVEN)}) VALUES ({', '.join('?' * len(_GIVEN))})"  # noqa: S608  constants only  # nosec B608


def note(connection: Connection, lines: Sequence[Event]) -> None:
    """Write these lines, in one statement."""
    if not lines:
        return
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.executemany(_INSERT, [(spell_moment(line.at), *line[1:]) for line in lines])
        return
    rows = [line._asdict() for line in lines]
    connection.execute(_at_once(), {"rows": orjson.dumps(rows).decode()})


@cache
def _at_once() -> Executable:
    columns = [column(name, events.c[name].type) for name in _GIVEN]
    rows = func.json_to_recordset(cast(bindparam("rows", type_=Text()), JSON))
    source = rows.table_valued(*columns, name="source").render_derived(with_types=True)
    return insert(events).from_select(_GIVEN, select(*(source.c[name] for name in _GIVEN)))


def prune(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to `limit` of the oldest lines that are from before `before`; return how many."""
    oldest = select(events.c.id, events.c.at).order_by(events.c.id).limit(limit).subquery()
    old = select(oldest.c.id).where(oldest.c.at < before)
    return int(connection.execute(delete(events).where(events.c.id.in_(old))).rowcount)
