"""The inbox, the outbox, pacing and chores; on SQLite the bot's two tables as well."""

import sqlalchemy as sa
from alembic import op

from app.db.engine import UtcDateTime

revision = "0001"
down_revision = None

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
PENDING = sa.text("state = 'pending'")
READ = sa.text("fal_request_id IS NOT NULL")
KEPT = sa.text("finished_at IS NOT NULL AND body IS NOT NULL")
NAMED = sa.text("finished_at IS NOT NULL AND avatar_name <> ''")


def queue_columns() -> list[sa.Column[object]]:
    """Columns that both queues share."""
    return [
        sa.Column("id", ID, primary_key=True, autoincrement=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("detail", sa.Text),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("finished_at", UtcDateTime),
    ]


def upgrade() -> None:
    """Make our tables."""
    op.create_table(
        "webhook_deliveries",
        *queue_columns(),
        sa.Column("request_id", sa.String(255), nullable=False),
        sa.Column("body_sha256", sa.String(64), nullable=False),
        sa.Column("fal_request_id", sa.String(255)),
        sa.Column("body", sa.LargeBinary),
        sa.Column("headers", sa.Text, nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("repeats", sa.Integer, nullable=False, server_default="0"),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("stored_at", UtcDateTime, nullable=False),
        sa.Column("last_received_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("request_id", "body_sha256", name="webhook_deliveries_identity"),
    )
    op.create_index(
        "webhook_deliveries_due",
        "webhook_deliveries",
        ["due_at", "id"],
        postgresql_where=PENDING,
        sqlite_where=PENDING,
    )
    op.create_index(
        "webhook_deliveries_fal_request_id",
        "webhook_deliveries",
        ["fal_request_id"],
        postgresql_where=READ,
        sqlite_where=READ,
    )
    op.create_index(
        "webhook_deliveries_kept", "webhook_deliveries", ["finished_at"], postgresql_where=KEPT, sqlite_where=KEPT
    )
    op.create_table(
        "webhook_notifications",
        *queue_columns(),
        sa.Column("delivery_id", sa.BigInteger, nullable=False),
        sa.Column("avatar_id", sa.String(36), nullable=False),
        sa.Column("request_id", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("cause", sa.String(32)),
        sa.Column("avatar_name", sa.Text, nullable=False),
        sa.Column("owner_id", sa.String(36), nullable=False),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("uncertain", sa.Integer, nullable=False, server_default="0"),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("received_at", UtcDateTime, nullable=False),
        sa.Column("stored_at", UtcDateTime, nullable=False),
        sa.Column("applied_at", UtcDateTime, nullable=False),
        sa.UniqueConstraint("avatar_id", "request_id", "kind", name="webhook_notifications_identity"),
    )
    op.create_index(
        "webhook_notifications_due",
        "webhook_notifications",
        ["due_at", "id"],
        postgresql_where=PENDING,
        sqlite_where=PENDING,
    )
    op.create_index(
        "webhook_notifications_kept",
        "webhook_notifications",
        ["finished_at"],
        postgresql_where=NAMED,
        sqlite_where=NAMED,
    )
    op.create_table(
        "webhook_slots",
        sa.Column("bucket", sa.String(64), primary_key=True),
        sa.Column("next_at", UtcDateTime, nullable=False),
    )
    op.create_table(
        "webhook_chores",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("reason", sa.String(64)),
    )
    if op.get_bind().dialect.name == "sqlite":
        create_bot_tables()


def create_bot_tables() -> None:
    """Make the two tables of the bot where there is no bot, so that the whole way can be tried on a bare machine."""
    op.create_table(
        "users",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("telegram_id", sa.String(50), nullable=False, unique=True),
        sa.Column("first_name", sa.String(64)),
        sa.Column("last_name", sa.String(64)),
        sa.Column("username", sa.String(64)),
        sa.Column("language_code", sa.String(8), nullable=False, server_default="ru"),
        sa.Column("timezone", sa.String(32), nullable=False, server_default="UTC+5"),
        sa.Column("is_blocked", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
        if_not_exists=True,
    )
    op.create_table(
        "avatars",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("user_id", sa.String(36), sa.ForeignKey("users.id"), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("training_type", sa.String(32), nullable=False, server_default="portrait"),
        sa.Column("status", sa.String(32), nullable=False, server_default="draft"),
        sa.Column("fal_request_id", sa.String(255)),
        sa.Column("finetune_id", sa.String(255)),
        sa.Column("training_progress", sa.Integer, nullable=False, server_default="0"),
        sa.Column("training_started_at", sa.DateTime(timezone=True)),
        sa.Column("training_completed_at", sa.DateTime(timezone=True)),
        sa.Column("trigger_word", sa.String(50), server_default="TOK"),
        sa.Column("trigger_phrase", sa.String(100)),
        sa.Column("diffusers_lora_file_url", sa.String(500)),
        sa.Column("config_file_url", sa.String(500)),
        sa.Column("training_logs", sa.Text),
        sa.Column("training_error", sa.Text),
        sa.Column("webhook_url", sa.String(500)),
        sa.Column("last_status_check", sa.DateTime(timezone=True)),
        sa.Column("avatar_data", sa.JSON),
        sa.Column("training_config", sa.JSON),
        sa.Column("fal_response_data", sa.JSON),
        sa.Column("is_main", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now()),
        if_not_exists=True,
    )
    op.create_index("avatars_fal_request_id", "avatars", ["fal_request_id"], if_not_exists=True)


def downgrade() -> None:
    """Drop our tables; the bot's stay."""
    for name in ("webhook_chores", "webhook_slots", "webhook_notifications", "webhook_deliveries"):
        op.drop_table(name)
