"""The kind of job that a delivery is about."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add a column with a default: what version 0002 stores beside us is a training's."""
    kind = sa.Column("kind", sa.String(16), nullable=False, server_default="training")
    op.add_column("webhook_deliveries", kind)


def downgrade() -> None:
    """Drop what was added."""
    op.drop_column("webhook_deliveries", "kind")
