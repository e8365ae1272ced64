"""Who may see the operator's pages: sessions, links that open one, addresses that failed to."""

import sqlalchemy as sa
from alembic import op

from app.db.engine import UtcDateTime

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Add three tables; nothing that an earlier version reads or writes changes."""
    op.create_table(
        "webhook_sessions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("proof", sa.String(64), nullable=False),
        sa.Column("opened_at", UtcDateTime, nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "webhook_login_links",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("ends_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "webhook_lockouts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("locked_until", UtcDateTime),
        sa.Column("failed_at", UtcDateTime, nullable=False),
    )


def downgrade() -> None:
    """Drop what was added."""
    for name in ("lockouts", "login_links", "sessions"):
        op.drop_table(f"webhook_{name}")
