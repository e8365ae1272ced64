"""Totals that are kept while rows change, and indexes for the rest of what pages and alerts look at."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db.engine import UtcDateTime

revision = "0005"
down_revision = "0004"

INDEXES = (
    ("webhook_deliveries", "waiting", ["reason"], "state = 'pending' AND reason IS NOT NULL"),
    ("webhook_deliveries", "tried", ["received_at"], "state = 'pending' AND attempt > 0"),
    ("webhook_deliveries", "repeated", ["last_received_at"], "repeats > 0"),
    ("webhook_jobs", "open", ["stage", "reason", "at_work_since", "said_at", "first_seen_at"], "state = 'pending'"),
    ("webhook_jobs", "looked_at", ["looked_at"], "looked_at IS NOT NULL"),
    ("webhook_jobs", "drifted", ["drifted_at", "drifts"], "drifted_at IS NOT NULL"),
    ("webhook_jobs", "gone", ["finished_at"], "outcome = 'gone'"),
    ("webhook_jobs", "absent", ["finished_at"], "artifact = 'absent'"),
)
# What a server of version 0004 changes beside us is not in here; the hourly count puts that right.
SEED = """
INSERT INTO webhook_totals (name, writer, amount)
SELECT 'deliveries.' || state, 0, count(*) FROM webhook_deliveries GROUP BY state
UNION ALL SELECT 'notifications.' || state, 0, count(*) FROM webhook_notifications GROUP BY state
UNION ALL SELECT 'duplicates', 0, coalesce(sum(repeats), 0) FROM webhook_deliveries
"""


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Add a table, a column and indexes; nothing that version 0004 reads or writes changes."""
    op.create_table(
        "webhook_totals",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("writer", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.add_column("webhook_jobs", sa.Column("said_at", UtcDateTime))
    for table, name, columns, condition in INDEXES:
        op.create_index(f"{table}_{name}", table, columns, **_where(condition))
    op.execute(SEED)


def downgrade() -> None:
    """Drop what was added."""
    for table, name, _, _ in INDEXES:
        op.drop_index(f"{table}_{name}", table)
    op.drop_column("webhook_jobs", "said_at")
    op.drop_table("webhook_totals")
