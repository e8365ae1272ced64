"""Reads for people: totals without ids or names."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.engine import Connection

from app.db.tables import deliveries, notifications
from app.domain.delivery import DeliveryState
from app.domain.notification import NotificationState


def totals(connection: Connection) -> dict[str, Any]:
    """Count deliveries and notifications by state; moments are datetimes, None where there is none."""
    return {
        "deliveries": _by_state(connection, deliveries, DeliveryState),
        "notifications": _by_state(connection, notifications, NotificationState),
        "duplicates": _one(connection, func.coalesce(func.sum(deliveries.c.repeats), 0)),
        "orphans": _one(connection, func.count(), deliveries.c.reason == "orphan", _pending()),
        "oldest_pending": _one(connection, func.min(deliveries.c.received_at), _pending()),
        "last_delivery": _one(connection, func.max(deliveries.c.last_received_at)),
    }


def _pending() -> ColumnElement[bool]:
    return deliveries.c.state == "pending"


def _by_state(connection: Connection, table: Table, states: Sequence[str] | Any) -> dict[str, int]:
    rows = connection.execute(select(table.c.state, func.count()).group_by(table.c.state))
    counts = {row[0]: row[1] for row in rows}
    return {str(state): counts.get(str(state), 0) for state in states}


def _one(connection: Connection, value: ColumnElement[Any], *where: ColumnElement[bool]) -> Any:
    statement = select(value).select_from(deliveries).where(*where)
    return (connection.execute(statement)).scalar_one()
