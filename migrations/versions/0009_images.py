"""The images that a message shows, and how many of them stand in its chat already."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

INDEX = "webhook_notifications_pictured"
WHERE = "finished_at IS NOT NULL AND images IS NOT NULL"


def upgrade() -> None:
    """Add columns and an index; nothing that the version before reads or writes changes."""
    op.add_column("webhook_notifications", sa.Column("images", sa.Text))
    shown = sa.Column("images_shown", sa.Integer, nullable=False, server_default="0")
    op.add_column("webhook_notifications", shown)
    condition: dict[str, Any] = {"postgresql_where": sa.text(WHERE), "sqlite_where": sa.text(WHERE)}
    op.create_index(INDEX, "webhook_notifications", ["finished_at"], **condition)


def downgrade() -> None:
    """Drop what was added."""
    op.drop_index(INDEX, "webhook_notifications")
    for column in ("images_shown", "images"):
        op.drop_column("webhook_notifications", column)
