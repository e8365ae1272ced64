"""What a message's words and its hour need besides: the avatar's type and the owner's zone."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

COLUMNS = (("trainer", 16), ("timezone", 32))


def upgrade() -> None:
    """Add columns that may be null; nothing that version 0005 reads or writes changes."""
    for name, width in COLUMNS:
        op.add_column("webhook_notifications", sa.Column(name, sa.String(width)))


def downgrade() -> None:
    """Drop what was added."""
    for name, _ in COLUMNS:
        op.drop_column("webhook_notifications", name)
