"""Whether anything has changed that an operator sees: a mark to be compared, made of what is kept or has an index."""

from sqlalchemy import func, select
from sqlalchemy.engine import Connection

from app.db import totals
from app.db.tables import alerts, deliveries, jobs


def read(connection: Connection) -> tuple[object, ...]:
    """Read the mark; two that are equal mean that nothing came, went or was looked at between them."""
    amounts = tuple(sorted(totals.read(connection).items()))
    newest = connection.execute(select(func.max(deliveries.c.id))).scalar_one()
    asked = connection.execute(select(func.max(jobs.c.looked_at)).where(jobs.c.looked_at.is_not(None))).scalar_one()
    told = connection.execute(select(func.count(), func.max(alerts.c.changed_at)).select_from(alerts)).one()
    return amounts, newest, asked, *told
