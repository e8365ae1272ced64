"""The index of what waits by its reason covers its query: beside the one on all reasons SQLite would not take it."""

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"

TABLE, NAME = "webhook_deliveries", "webhook_deliveries_waiting"
WAITING = text("state = 'pending' AND reason IS NOT NULL")


def upgrade() -> None:
    """Build it anew, with the state; few rows are in it."""
    _build("reason", "state")


def downgrade() -> None:
    """Build it as it was."""
    _build("reason")


def _build(*columns: str) -> None:
    op.drop_index(NAME, TABLE)
    op.create_index(NAME, TABLE, [*columns], sqlite_where=WAITING, postgresql_where=WAITING)
