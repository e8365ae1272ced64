"""Periodic work: a row per chore with a due_at, so that each tick runs on exactly one replica."""

from datetime import datetime, timedelta

from sqlalchemy import update

from app.db.engine import Transaction, upsert_into
from app.db.tables import chores


async def claim(transaction: Transaction, name: str, *, now: datetime, lease: timedelta) -> bool:
    """Take the chore if it is due; nobody else gets it before the lease ends."""
    first = upsert_into(transaction, chores).values(name=name, due_at=now).on_conflict_do_nothing()
    await transaction.execute(first)
    statement = (
        update(chores)
        .where(chores.c.name == name, chores.c.due_at <= now)
        .values(due_at=now + lease)
        .returning(chores.c.name)
    )
    return (await transaction.execute(statement)).first() is not None


async def finish(transaction: Transaction, name: str, *, now: datetime, every: timedelta, reason: str) -> None:
    """Set the next tick. `reason` says how this one ended."""
    await transaction.execute(
        update(chores).where(chores.c.name == name).values(due_at=now + every, finished_at=now, reason=reason)
    )


async def touch(transaction: Transaction, name: str, now: datetime) -> None:
    """Write one row for real: reading proves neither a free disk nor a writable one."""
    statement = upsert_into(transaction, chores).values(name=name, due_at=now, finished_at=now)
    await transaction.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"finished_at": statement.excluded.finished_at})
    )
