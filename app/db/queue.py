"""The queue's two statements, the same for the inbox and the outbox: claim what is due, finish what was claimed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Table, bindparam, select, update
from sqlalchemy.engine import RowMapping

from app.db.engine import Transaction
from app.domain.delivery import Claim
from app.domain.errors import ClaimLost
from app.domain.verdict import Bury, Done, Retry, Verdict


async def claim_due(
    transaction: Transaction,
    table: Table,
    *,
    now: datetime,
    lease_until: datetime,
    limit: int,
    marks: Mapping[str, Any] | None = None,
) -> list[RowMapping]:
    """Take up to `limit` due rows, oldest first, until `lease_until`; `marks` are more columns to set.

    A row that is not finished by then is simply due again: that is the whole crash rescue.
    Rows that another replica is claiming at this moment are skipped (SKIP LOCKED; SQLite has one writer anyway).
    """
    due = (
        select(table.c.id)
        .where(table.c.state == "pending", table.c.due_at <= now)
        .order_by(table.c.due_at, table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
        .prefix_with("MATERIALIZED")
    )
    claim = (
        update(table)
        .where(table.c.id.in_(select(due.c.id)))
        .values(due_at=lease_until, attempt=table.c.attempt + 1, **(marks or {}))
        .returning(*table.c)
    )
    rows = (await transaction.execute(claim)).mappings().all()
    return sorted(rows, key=lambda row: row["id"])


def verdict_columns(verdict: Verdict, *, done: str, failures: int, now: datetime) -> dict[str, Any]:
    """Spell a verdict in the queue's columns. `done` is the final state that stands for Done."""
    match verdict:
        case Done(why):
            state, detail, due_at = done, None, now
        case Retry(due_at, why, failed):
            state, detail = "pending", None
            failures += failed
        case Bury(why, detail):
            state, due_at = "dead", now
    return {
        "state": state,
        "reason": why,
        "detail": detail,
        "due_at": due_at,
        "failures": failures,
        "finished_at": None if state == "pending" else now,
    }


async def finish(transaction: Transaction, table: Table, rows: Sequence[tuple[Claim, Mapping[str, Any]]]) -> None:
    """Write the columns of each claimed row.

    Raises ClaimLost (and so undoes the whole transaction) when one of them is no longer ours: its lease ran out
    and another worker claimed it, or an operator finished it.
    """
    if not rows:
        return
    names = rows[0][1].keys()
    statement = (
        update(table)
        .where(
            table.c.id == bindparam("claim_id"),
            table.c.attempt == bindparam("claim_attempt"),
            table.c.state == "pending",
        )
        .values({name: bindparam(f"new_{name}") for name in names})
    )
    parameters = [
        {"claim_id": claim.id, "claim_attempt": claim.attempt, **{f"new_{name}": values[name] for name in names}}
        for claim, values in rows
    ]
    result = await transaction.execute(statement, parameters)
    if result.rowcount != len(rows):
        raise ClaimLost(f"{len(rows) - result.rowcount} of {len(rows)} rows of {table.name} were claimed anew")
