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
    TextClause,
    UniqueConstraint,
    text,
)

from app.db.engine import UtcDateTime

VERSION_TABLE = "webhook_schema_version"
HEAD = "0012"  # the newest migration; a test compares it with the files
WHERE = "where"  # the condition of an index, in its `info`

metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up only INTEGER keys
_PENDING = text("state = 'pending'")
_READ = text("fal_request_id IS NOT NULL")  # so that storing a delivery need not touch the index
_KEPT = text("finished_at IS NOT NULL AND body IS NOT NULL")  # what retention has still to empty
_DEAD = text("state = 'dead'")  # counted every minute; few rows, so the index is small
_ENDED = text("state = 'done'")  # looked through every minute for rows that were set back
_TRIED = text("state = 'pending' AND attempt > 0")  # few: what is applied at the first try never gets in
_WAITING = text("state = 'pending' AND reason IS NOT NULL")
_REPEATED = text("repeats > 0")
_LOOKED_AT = text("looked_at IS NOT NULL")
_DRIFTED = text("drifted_at IS NOT NULL")
_GONE = text("outcome = 'gone'")
_ABSENT = text("artifact = 'absent'")
_IN_PROGRESS = text("progress_message_id IS NOT NULL AND progress_end IS NULL")
_STOPPED = text("progress_end IN ('refused', 'slowed', 'not_editable')")  # whose chats get no progress any more
_UNANSWERED = text("state = 'pending' AND request_id IS NULL")  # submissions; few
_NAMED = text("finished_at IS NOT NULL AND avatar_name <> ''")
_PICTURED = text("finished_at IS NOT NULL AND images IS NOT NULL")
_LEFT = text("state <> 'pending'")  # spelt so in queries too: SQLite takes an index with a condition only then
_REASONED = text("reason IS NOT NULL")
_UNUSUAL = text("kind <> 'training'")
_ABOUT = {name: text(f"{name}_id IS NOT NULL") for name in ("delivery", "notification", "job")}


def _partial(name: str, *columns: str, where: TextClause) -> Index:
    """Index the rows that meet a condition, on both databases, which the migrations make.

    As an option of a dialect the condition would have SQLAlchemy import that dialect: two MiB where none is used.
    """
    return Index(name, *columns, info={WHERE: where})


def _searched(table: str) -> list[Index]:
    """Index what an operator looks for in a queue, without a cost for rows that just came in."""
    return [
        _partial(f"{table}_state", "state", "id", where=_LEFT),
        _partial(f"{table}_reason", "reason", "id", where=_REASONED),
    ]


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
    Column("nonce", String(32)),  # of the submission in whose webhook address it came
    Column("repeats", Integer, nullable=False, server_default="0"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("last_received_at", UtcDateTime, nullable=False),
    UniqueConstraint("request_id", "body_sha256", name="webhook_deliveries_identity"),
    _partial("webhook_deliveries_due", "due_at", "id", where=_PENDING),
    _partial("webhook_deliveries_fal_request_id", "fal_request_id", where=_READ),
    _partial("webhook_deliveries_kept", "finished_at", where=_KEPT),
    _partial("webhook_deliveries_dead", "id", where=_DEAD),
    _partial("webhook_deliveries_waiting", "reason", where=_WAITING),  # of an earlier version; the next one serves
    _partial("webhook_deliveries_held", "reason", "state", where=_WAITING),
    _partial("webhook_deliveries_tried", "received_at", where=_TRIED),
    _partial("webhook_deliveries_repeated", "last_received_at", where=_REPEATED),
    *_searched("webhook_deliveries"),
    _partial("webhook_deliveries_kind", "kind", "id", where=_UNUSUAL),
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
    Column("timezone", String(32)),  # the bot's word for it
    Column("trainer", String(16)),  # the avatar's type
    Column("uncertain", Integer, nullable=False, server_default="0"),
    Column("message_id", BigInteger),
    Column("images", Text),  # JSON: app/domain/images.py
    Column("images_shown", Integer, nullable=False, server_default="0"),  # of them stand in the chat
    Column("received_at", UtcDateTime, nullable=False),
    Column("stored_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    UniqueConstraint("avatar_id", "request_id", "kind", name="webhook_notifications_identity"),
    _partial("webhook_notifications_due", "due_at", "id", where=_PENDING),
    _partial("webhook_notifications_kept", "finished_at", where=_NAMED),
    _partial("webhook_notifications_pictured", "finished_at", where=_PICTURED),
    _partial("webhook_notifications_dead", "id", where=_DEAD),
    *_searched("webhook_notifications"),
    Index("webhook_notifications_kind", "kind", "id"),
    Index("webhook_notifications_owner", "owner_id", "id"),
    Index("webhook_notifications_chat", "chat_id", "id"),
    Index("webhook_notifications_request", "request_id"),
)

jobs = Table(
    "webhook_jobs",
    metadata,
    *_queue_columns(),  # due_at: the next look at fal
    Column("kind", String(16), nullable=False, server_default="training"),
    Column("request_id", String(255)),  # null while a submission has no answer
    Column("idempotency_key", String(255)),
    Column("digest", String(64)),  # of the request that the key stands for, and of a registration
    Column("nonce", String(32)),  # travels in our webhook's URL
    Column("subject", String(36)),
    Column("endpoint", String(255)),
    Column("endpoint_source", String(16), nullable=False),
    Column("status_url", Text),
    Column("response_url", Text),
    Column("cancel_url", Text),
    Column("chat_id", BigInteger),  # where a kind without an owner's row of its own is told
    Column("language", String(16)),
    Column("steps", Integer),
    Column("stage", String(16)),
    Column("stage_since", UtcDateTime),
    Column("first_seen_at", UtcDateTime, nullable=False),  # by our clock
    Column("at_work_since", UtcDateTime),
    Column("looked_at", UtcDateTime),  # when fal was last asked
    Column("said_at", UtcDateTime),  # when fal last said how it stands
    Column("position", Integer),
    Column("percent", Integer),
    Column("outcome", String(16)),
    Column("lora_url", Text),  # as written into the avatar's row
    Column("config_url", Text),
    Column("finetune_id", Text),
    Column("artifact", String(16)),  # what the look at it found: seen, unverified, absent; null: not looked at
    Column("delivery_id", BigInteger),  # the one that ended it
    Column("drifts", Integer, nullable=False, server_default="0"),  # how often its row was set back
    Column("drifted_at", UtcDateTime),
    Column("progress_at", UtcDateTime),  # when the owner's progress message was last sent or edited, or was to be
    Column("progress_chat_id", BigInteger),
    Column("progress_message_id", BigInteger),
    Column("progress_line", String(16)),  # what it says
    Column("progress_ends_at", UtcDateTime),  # the end that it leads to expect, or the moment it promises
    Column("progress_edits", Integer, nullable=False, server_default="0"),
    Column("progress_end", String(16)),  # why it is edited no more
    Column("trigger_word", String(50)),  # of a submission, until the avatar's row has it
    Column("photos_sha256", String(64)),  # of the photos' address, which itself is kept nowhere
    UniqueConstraint("request_id", name="webhook_jobs_request_id"),
    UniqueConstraint("idempotency_key", name="webhook_jobs_idempotency_key"),
    UniqueConstraint("nonce", name="webhook_jobs_nonce"),
    _partial("webhook_jobs_due", "due_at", "id", where=_PENDING),
    _partial("webhook_jobs_unanswered", "due_at", where=_UNANSWERED),
    _partial("webhook_jobs_dead", "id", where=_DEAD),
    _partial("webhook_jobs_finished", "finished_at", where=_ENDED),
    _partial("webhook_jobs_open", "stage", "reason", "at_work_since", "said_at", "first_seen_at", where=_PENDING),
    _partial("webhook_jobs_looked_at", "looked_at", where=_LOOKED_AT),
    _partial("webhook_jobs_drifted", "drifted_at", "drifts", where=_DRIFTED),
    _partial("webhook_jobs_progress", "state", "progress_at", where=_IN_PROGRESS),
    _partial("webhook_jobs_progress_end", "progress_chat_id", where=_STOPPED),
    _partial("webhook_jobs_gone", "finished_at", where=_GONE),
    _partial("webhook_jobs_absent", "finished_at", where=_ABSENT),
    *_searched("webhook_jobs"),
    Index("webhook_jobs_subject", "subject", "id"),
    _partial("webhook_jobs_kind", "kind", "id", where=_UNUSUAL),
)

events = Table(
    "webhook_events",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("at", UtcDateTime, nullable=False),
    Column("delivery_id", BigInteger),
    Column("notification_id", BigInteger),
    Column("job_id", BigInteger),
    Column("kind", String(16), nullable=False),
    Column("attempt", Integer),
    Column("reason", String(64)),
    Column("who", String(64)),  # an operator; null: the server itself
    Column("why", Text),  # an operator's words, or how many rows of a filter
    *(_partial(f"webhook_events_{name}", f"{name}_id", where=given) for name, given in _ABOUT.items()),
    Index("webhook_events_kind", "kind", "reason", "at"),
)

totals = Table(
    "webhook_totals",
    metadata,
    Column("name", String(32), primary_key=True),  # 'deliveries.done'
    Column("writer", Integer, primary_key=True, autoincrement=False),  # rows of one name are added up
    Column("amount", BigInteger, nullable=False),
    sqlite_with_rowid=False,
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

operator_sessions = Table(
    "webhook_sessions",
    metadata,
    Column("id", String(64), primary_key=True),  # sha256 of what the cookie holds
    Column("who", String(64), nullable=False),
    Column("proof", String(64), nullable=False),  # of the token that it was opened with; '' for a link
    Column("opened_at", UtcDateTime, nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
)

login_links = Table(
    "webhook_login_links",
    metadata,
    Column("id", String(64), primary_key=True),  # sha256 of what the link holds
    Column("who", String(64), nullable=False),
    Column("ends_at", UtcDateTime, nullable=False),
)

lockouts = Table(
    "webhook_lockouts",
    metadata,
    Column("name", String(64), primary_key=True),  # the address, or its neighbourhood
    Column("failures", Integer, nullable=False),
    Column("locked_until", UtcDateTime),
    Column("failed_at", UtcDateTime, nullable=False),
)
