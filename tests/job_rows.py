"""Rows of `webhook_jobs`, made by hand."""

from typing import Any

from sqlalchemy import insert, select

from app.db.engine import Database
from app.db.tables import jobs
from tests.factories import LORA
from tests.fakes import START


def put(database: Database, request_id: str, artifact: str | None = "unverified", **changes: Any) -> int:
    """Make the row of a job that ended; return its id."""
    row = {
        "state": "done",
        "due_at": START,
        "finished_at": START,
        "kind": "training",
        "request_id": request_id,
        "subject": f"avatar-of-{request_id}",
        "endpoint_source": "guessed",
        "first_seen_at": START,
        "outcome": "completed",
        "lora_url": LORA,
        "artifact": artifact,
        **changes,
    }
    with database.engine.begin() as transaction:
        return int(transaction.execute(insert(jobs).values(**row).returning(jobs.c.id)).scalar_one())


def states(database: Database) -> dict[str, str]:
    with database.engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(select(jobs.c.request_id, jobs.c.artifact))}
