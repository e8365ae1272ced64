"""Jobs: what we expect of fal, whether its webhook comes or not."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.db.engine import UtcDateTime

revision = "0004"
down_revision = "0003"


def _where(state: str) -> dict[str, Any]:
    where = sa.text(f"state = '{state}'")
    return {"postgresql_where": where, "sqlite_where": where}


def upgrade() -> None:
    """Add a table; nothing that version 0003 reads or writes changes."""
    op.create_table(
        "webhook_jobs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(64)),
        sa.Column("detail", sa.Text),
        sa.Column("due_at", UtcDateTime, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("finished_at", UtcDateTime),
        sa.Column("kind", sa.String(16), nullable=False, server_default="training"),
        sa.Column("request_id", sa.String(255)),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("digest", sa.String(64)),
        sa.Column("nonce", sa.String(32)),
        sa.Column("subject", sa.String(36)),
        sa.Column("endpoint", sa.String(255)),
        sa.Column("endpoint_source", sa.String(16), nullable=False),
        sa.Column("status_url", sa.Text),
        sa.Column("response_url", sa.Text),
        sa.Column("cancel_url", sa.Text),
        sa.Column("chat_id", sa.BigInteger),
        sa.Column("language", sa.String(16)),
        sa.Column("steps", sa.Integer),
        sa.Column("stage", sa.String(16)),
        sa.Column("stage_since", UtcDateTime),
        sa.Column("first_seen_at", UtcDateTime, nullable=False),
        sa.Column("at_work_since", UtcDateTime),
        sa.Column("looked_at", UtcDateTime),
        sa.Column("position", sa.Integer),
        sa.Column("percent", sa.Integer),
        sa.Column("outcome", sa.String(16)),
        sa.Column("lora_url", sa.Text),
        sa.Column("config_url", sa.Text),
        sa.Column("finetune_id", sa.Text),
        sa.Column("artifact", sa.String(16)),
        sa.Column("delivery_id", sa.BigInteger),
        sa.Column("drifts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("drifted_at", UtcDateTime),
        sa.UniqueConstraint("request_id", name="webhook_jobs_request_id"),
        sa.UniqueConstraint("idempotency_key", name="webhook_jobs_idempotency_key"),
        sa.UniqueConstraint("nonce", name="webhook_jobs_nonce"),
    )
    op.create_index("webhook_jobs_due", "webhook_jobs", ["due_at", "id"], **_where("pending"))
    op.create_index("webhook_jobs_dead", "webhook_jobs", ["id"], **_where("dead"))
    op.create_index("webhook_jobs_finished", "webhook_jobs", ["finished_at"], **_where("done"))


def downgrade() -> None:
    """Drop what was added."""
    op.drop_table("webhook_jobs")
