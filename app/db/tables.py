"""Our tables. They live beside the bot's under the prefix `webhook_`; the bot's own are in `trainings.py`."""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.db.engine import UtcDateTime

VERSION_TABLE = "webhook_schema_version"
HEAD = "0003"  # the newest migration; a test compares it with the files

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only INTEGER keys
_PENDING = text("state = 'pending'")
_READ = text("fal_request_id IS NOT NULL")  # so that storing a delivery need not touch the index
_KEPT = text("finished_at IS NOT NULL AND body IS NOT NULL")  # what retention has still to empty
_DEAD = text("state = 'dead'")  # counted every minute; few rows, so the index is small
_NAMED = text("finished_at IS NOT NULL AND avatar_name <> ''")


def _queue_columns() -> list[Column[object]]:
    """Make a table a queue: `due_at` is the only scheduler, `attempt` is the fence."""
    return [
        Column("id", _Id, primary_key=True, autoincrement=True),
        Column("state", String(16), nullable=False),
        Column("reason", String(64)),
        Column("detail", Text),
        Column("due_at", UtcDateTime, nullable=False),
        Column("attempt", Integer, nullable=False, server_default="0"),
        Column("failures", Integer, nullable=False, server_default="0"),
        Column("finished_at", UtcDateTime),
    ]


deliveries = Table(
    "webhook_deliveries",
    metadata,
    *_queue_columns(),
    Column("request_id", String(255), nullable=False),  # the signed header's value
    Column("body_sha256", String(64), nullable=False),
    Column("fal_request_id", String(255)),  # the body's value: what the bot knows; null until it was read
    Column("body", LargeBinary),  # null once pruned; the row stays, so that a late repeat is still a repeat
    Column("headers", Text, nullable=False),
    Column("source", String(16), nullable=False),
    Column("kind", String(16), nullable=False, server_default="training"),
    Column("repeats", Integer, nullable=False, server_default="0"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("last_received_at", UtcDateTime, nullable=False),
    UniqueConstraint("request_id", "body_sha256", name="webhook_deliveries_identity"),
    Index("webhook_deliveries_due", "due_at", "id", postgresql_where=_PENDING, sqlite_where=_PENDING),
    Index("webhook_deliveries_fal_request_id", "fal_request_id", postgresql_where=_READ, sqlite_where=_READ),
    Index("webhook_deliveries_kept", "finished_at", postgresql_where=_KEPT, sqlite_where=_KEPT),
    Index("webhook_deliveries_dead", "id", postgresql_where=_DEAD, sqlite_where=_DEAD),
)

notifications = Table(
    "webhook_notifications",
    metadata,
    *_queue_columns(),
    Column("delivery_id", BigInteger, nullable=False),
    Column("avatar_id", String(36), nullable=False),
    Column("request_id", String(255), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("cause", String(32)),
    Column("avatar_name", Text, nullable=False),
    Column("owner_id", String(36), nullable=False),
    Column("chat_id", BigInteger),
    Column("language", String(16), nullable=False),
    Column("uncertain", Integer, nullable=False, server_default="0"),
    Column("message_id", BigInteger),
    Column("received_at", UtcDateTime, nullable=False),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    UniqueConstraint("avatar_id", "request_id", "kind", name="webhook_notifications_identity"),
    Index("webhook_notifications_due", "due_at", "id", postgresql_where=_PENDING, sqlite_where=_PENDING),
    Index("webhook_notifications_kept", "finished_at", postgresql_where=_NAMED, sqlite_where=_NAMED),
    Index("webhook_notifications_dead", "id", postgresql_where=_DEAD, sqlite_where=_DEAD),
)

slots = Table(
    "webhook_slots",
    metadata,
    Column("bucket", String(64), primary_key=True),  # 'bot' or 'chat:<id>'
    Column("next_at", UtcDateTime, nullable=False),
)

chores = Table(
    "webhook_chores",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("due_at", UtcDateTime, nullable=False),
    Column("finished_at", UtcDateTime),
    Column("reason", String(64)),
)

alerts = Table(
    "webhook_alerts",
    metadata,
    Column("name", String(128), primary_key=True),  # the condition, and `@machine` where the fact is a machine's own
    Column("machine", String(64), nullable=False),  # '' where the fact is shared
    Column("level", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("opened_at", UtcDateTime, nullable=False),
    Column("changed_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("gone_at", UtcDateTime),
    Column("resolved_at", UtcDateTime),
    Column("told_at", UtcDateTime),
    Column("told_level", String(16)),
    Column("times", Integer, nullable=False, server_default="0"),
)
