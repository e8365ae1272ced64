"""Retention: empties bodies, names and images of finished rows; the rows stay: a late repeat is still a repeat.

Of the history the lines themselves go.
"""

from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.engine import Connection

from app.db import events
from app.db.pacing import BOT
from app.db.tables import deliveries, notifications, slots

_FORGETTABLE = ("done", "ignored")  # a dead one is the operator's: it keeps its body until somebody decides
_TOLD = ("sent", "unsent", "ignored")
EMPTIED = "retention has emptied this row"  # an empty name alone does not say so: avatars may have none


def prune(connection: Connection, before: datetime, limit: int) -> int:
    """Empty up to `limit` rows of each queue that ended before `before`, and forget as many lines of the history.

    Returns how many rows that were.

    What was redriven between the look for old rows and the lock on them is not old any more, and stays whole.
    """
    old_deliveries = (
        select(deliveries.c.id)
        .where(
            deliveries.c.finished_at < before,
            deliveries.c.finished_at.is_not(None),
            deliveries.c.body.is_not(None),
            deliveries.c.state.in_(_FORGETTABLE),
        )
        .limit(limit)
    )
    emptied = connection.execute(
        update(deliveries)
        .where(deliveries.c.id.in_(old_deliveries.scalar_subquery()), deliveries.c.state.in_(_FORGETTABLE))
        .values(body=None, headers="{}", detail=None)
    )
    forgotten = 0
    for personal in (notifications.c.avatar_name != "", notifications.c.images.is_not(None)):  # each has its index
        old_notifications = (
            select(notifications.c.id)
            .where(
                notifications.c.finished_at < before,
                notifications.c.finished_at.is_not(None),
                personal,
                notifications.c.state.in_(_TOLD),
            )
            .limit(limit)
        )
        emptied_now = connection.execute(
            update(notifications)
            .where(notifications.c.id.in_(old_notifications.scalar_subquery()), notifications.c.state.in_(_TOLD))
            .values(avatar_name="", images=None, detail=EMPTIED)
        )
        forgotten += int(emptied_now.rowcount)
    connection.execute(delete(slots).where(slots.c.next_at < before, slots.c.bucket != BOT))
    return int(emptied.rowcount) + forgotten + events.prune(connection, before, limit)
