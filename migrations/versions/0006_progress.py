"""What an owner's progress message says, beside the job that it is about."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db.engine import UtcDateTime

revision = "0006"
down_revision = "0005"

COLUMNS: dict[str, Any] = {
    "progress_at": UtcDateTime,
    "progress_chat_id": sa.BigInteger,
    "progress_message_id": sa.BigInteger,
    "progress_line": sa.String(16),
    "progress_ends_at": UtcDateTime,
    "progress_end": sa.String(16),
}
INDEXES = (
    ("progress", ["state", "progress_at"], "progress_message_id IS NOT NULL AND progress_end IS NULL"),
    ("progress_end", ["progress_chat_id"], "progress_end IN ('refused', 'slowed', 'not_editable')"),
)


def _where(condition: str) -> dict[str, Any]:
    return {"postgresql_where": sa.text(condition), "sqlite_where": sa.text(condition)}


def upgrade() -> None:
    """Add columns and indexes; nothing that version 0005 reads or writes changes."""
    for column, type_ in COLUMNS.items():
        op.add_column("webhook_jobs", sa.Column(column, type_))
    op.add_column("webhook_jobs", sa.Column("progress_edits", sa.Integer, nullable=False, server_default="0"))
    for name, columns, condition in INDEXES:
        op.create_index(f"webhook_jobs_{name}", "webhook_jobs", columns, **_where(condition))


def downgrade() -> None:
    """Drop what was added."""
    for name, _, _ in INDEXES:
        op.drop_index(f"webhook_jobs_{name}", "webhook_jobs")
    for column in (*COLUMNS, "progress_edits"):
        op.drop_column("webhook_jobs", column)
