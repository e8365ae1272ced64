"""The operator's alerts, and indexes that count dead rows without reading the queues."""

import sqlalchemy as sa
from alembic import op

from app.db.engine import UtcDateTime

revision = "0002"
down_revision = "0001"

DEAD = sa.text("state = 'dead'")
QUEUES = ("webhook_deliveries", "webhook_notifications")


def upgrade() -> None:
    """Add; nothing that version 0001 works with is touched."""
    op.create_table(
        "webhook_alerts",
        sa.Column("name", sa.String(128), primary_key=True),
        sa.Column("machine", sa.String(64), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("changed_at", UtcDateTime, nullable=False),
        sa.Column("seen_at", UtcDateTime, nullable=False),
        sa.Column("gone_at", UtcDateTime),
        sa.Column("resolved_at", UtcDateTime),
        sa.Column("told_at", UtcDateTime),
        sa.Column("told_level", sa.String(16)),
        sa.Column("times", sa.Integer, nullable=False, server_default="0"),
    )
    for queue in QUEUES:
        op.create_index(f"{queue}_dead", queue, ["id"], postgresql_where=DEAD, sqlite_where=DEAD)


def downgrade() -> None:
    """Drop what was added."""
    for queue in QUEUES:
        op.drop_index(f"{queue}_dead", queue)
    op.drop_table("webhook_alerts")
