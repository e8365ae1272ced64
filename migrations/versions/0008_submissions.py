"""What joins a submission with its request: the nonce of a delivery, the digest of what was given."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

UNANSWERED = sa.text("state = 'pending' AND request_id IS NULL")


def upgrade() -> None:
    """Add columns and an index; nothing that version 0007 reads or writes changes."""
    op.add_column("webhook_deliveries", sa.Column("nonce", sa.String(32)))
    op.add_column("webhook_jobs", sa.Column("trigger_word", sa.String(50)))
    op.add_column("webhook_jobs", sa.Column("photos_sha256", sa.String(64)))
    op.create_index(
        "webhook_jobs_unanswered",
        "webhook_jobs",
        ["due_at"],
        postgresql_where=UNANSWERED,
        sqlite_where=UNANSWERED,
    )


def downgrade() -> None:
    """Drop what was added."""
    op.drop_index("webhook_jobs_unanswered", "webhook_jobs")
    op.drop_column("webhook_jobs", "photos_sha256")
    op.drop_column("webhook_jobs", "trigger_word")
    op.drop_column("webhook_deliveries", "nonce")
