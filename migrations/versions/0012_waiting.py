"""What waits, by its reason, in an index that covers the query: beside the one on all reasons SQLite took no other."""

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"

TABLE, NAME = "webhook_deliveries", "webhook_deliveries_held"
WAITING = text("state = 'pending' AND reason IS NOT NULL")


def upgrade() -> None:
    """Add it; few rows are in it. The narrower one stays for the version before, which may run beside."""
    op.create_index(NAME, TABLE, ["reason", "state"], sqlite_where=WAITING, postgresql_where=WAITING)


def downgrade() -> None:
    """Drop what was added."""
    op.drop_index(NAME, TABLE)
