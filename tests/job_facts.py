"""Jobs as they stand in the database, and the facts of a house in which all is well with them."""

from datetime import datetime
from typing import Any

from sqlalchemy import insert

from app.db.engine import Database
from app.db.tables import jobs
from app.domain.job_alarms import JobFacts
from tests.fakes import START

NO_JOBS = JobFacts(
    by_stage={"new": 0, "queued": 0, "at_work": 0, "finished": 0, "gone": 0},
    overdue=0,
    dead=0,
    gone=0,
    absent=0,
    drifted=0,
    often_drifted=0,
    locked=0,
    refused=0,
    keyless=0,
    keyless_results=0,
)


def add_job(database: Database, request_id: str | None, *, seen: datetime = START, **columns: Any) -> None:
    """Put a job on record that fal spoke of at `seen`; columns as the table has them."""
    row = {
        "state": "pending",
        "due_at": seen,
        "request_id": request_id,
        "endpoint_source": "guessed",
        "first_seen_at": seen,
        "said_at": seen,
        **columns,
    }
    with database.engine.begin() as transaction:
        transaction.execute(insert(jobs).values(row))
