"""The history of rows, and indexes for what operators look for. None is of use to a row that just came in."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db.engine import UtcDateTime

revision = "0010"
down_revision = "0009"

QUEUES = ("webhook_deliveries", "webhook_notifications", "webhook_jobs")
LEFT, REASONED, UNUSUAL = "state <> 'pending'", "reason IS NOT NULL", "kind <> 'training'"
INDEXES = (
    *((table, "state", ["state", "id"], LEFT) for table in QUEUES),
    *((table, "reason", ["reason", "id"], REASONED) for table in QUEUES),
    ("webhook_deliveries", "kind", ["kind", "id"], UNUSUAL),
    ("webhook_jobs", "kind", ["kind", "id"], UNUSUAL),
    ("webhook_jobs", "subject", ["subject", "id"], None),
    ("webhook_notifications", "kind", ["kind", "id"], None),
    ("webhook_notifications", "owner", ["owner_id", "id"], None),
    ("webhook_notifications", "chat", ["chat_id", "id"], None),
    ("webhook_notifications", "request", ["request_id"], None),
)
ABOUT = ("delivery", "notification", "job")


def _where(condition: str | None) -> dict[str, Any]:
    return {} if condition is None else {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Add a table and indexes; nothing that version 0009 reads or writes changes."""
    op.create_table(
        "webhook_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("at", UtcDateTime, nullable=False),
        *(sa.Column(f"{name}_id", sa.BigInteger) for name in ABOUT),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer),
        sa.Column("reason", sa.String(64)),
        sa.Column("who", sa.String(64)),
        sa.Column("why", sa.Text),
    )
    for name in ABOUT:
        op.create_index(f"webhook_events_{name}", "webhook_events", [f"{name}_id"], **_where(f"{name}_id IS NOT NULL"))
    op.create_index("webhook_events_kind", "webhook_events", ["kind", "reason", "at"])
    for table, name, columns, condition in INDEXES:
        op.create_index(f"{table}_{name}", table, columns, **_where(condition))


def downgrade() -> None:
    """Drop what was added."""
    for table, name, _, _ in INDEXES:
        op.drop_index(f"{table}_{name}", table)
    op.drop_table("webhook_events")
