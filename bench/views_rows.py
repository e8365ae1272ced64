"""A month of history in rows: deliveries, messages, jobs and lines, made by the database itself."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.engine import Connection

SPAN = timedelta(days=30)
FILLER = 900  # bytes of a body beside its words
# n counts from 1. Of 1,000: 12 dead (7 orphan, 4 conflict, 1 unreadable), 5 ignored, 1 waiting, the newest 1,000 too.
STATE = (
    "CASE WHEN n % 1000 < 12 THEN 'dead' WHEN n % 1000 < 17 THEN 'ignored' WHEN {waits} THEN 'pending' ELSE 'done' END"
)
WAITS = "(n % 1000 = 17 OR n > {rows} - {rows} / 500)"
REASON = (
    "CASE WHEN n % 1000 < 7 THEN 'orphan' WHEN n % 1000 < 11 THEN 'conflict' WHEN n % 1000 < 17 THEN 'unreadable' "
    "WHEN n % 1000 = 17 THEN 'orphan' WHEN {waits} THEN NULL WHEN n % 12 = 0 THEN 'failed' "
    "WHEN n % 50 = 1 THEN 'already_completed' ELSE 'completed' END"
)
SENT = (
    "CASE WHEN n % 100 = 0 THEN 'dead' WHEN n > {rows} - {rows} / 1000 THEN 'pending' WHEN n % 500 = 3 THEN 'ignored' "
    "ELSE 'sent' END"
)
DELIVERIES = f"""
INSERT INTO webhook_deliveries (state, reason, due_at, attempt, failures, finished_at, request_id, body_sha256,
  fal_request_id, body, headers, source, kind, repeats, received_at, stored_at, last_received_at)
{{numbers}}
SELECT {STATE}, {REASON}, {{at}}, 1, 0, CASE WHEN {{waits}} THEN NULL ELSE {{at}} END, 'req-' || n, 'sha' || n,
  CASE WHEN {{waits}} THEN NULL ELSE 'req-' || n END, {{body}}, '{{{{}}}}',
  CASE WHEN n % 200 = 5 THEN 'reconcile' ELSE 'webhook' END, CASE WHEN n % 20000 = 7 THEN 'test' ELSE 'training' END,
  0, {{at}}, {{at}}, {{at}}
FROM {{source}}
"""
MESSAGES = f"""
INSERT INTO webhook_notifications (state, reason, due_at, attempt, failures, finished_at, delivery_id, avatar_id,
  request_id, kind, avatar_name, owner_id, chat_id, language, trainer, message_id, received_at, stored_at, applied_at)
{{numbers}}
SELECT {SENT}, CASE WHEN n % 100 = 0 THEN 'blocked' WHEN n % 500 = 3 THEN 'overtaken' ELSE 'sent' END, {{at}}, 1, 0,
  {{at}}, n, 'avatar-' || n, 'req-' || n, CASE WHEN n % 12 = 0 THEN 'failed' ELSE 'ready' END, 'Айша',
  'owner-' || (n / 5), n / 5, 'ru', CASE WHEN n % 2 = 0 THEN 'portrait' ELSE 'style' END, n, {{at}}, {{at}}, {{at}}
FROM {{source}}
"""
JOBS = """
INSERT INTO webhook_jobs (state, reason, due_at, kind, request_id, subject, endpoint, endpoint_source, stage,
  first_seen_at, at_work_since, looked_at, said_at, outcome, finished_at)
{numbers}
SELECT CASE WHEN n % 1000 = 5 THEN 'dead' WHEN n > {rows} - {rows} / 500 THEN 'pending' ELSE 'done' END,
  CASE WHEN n % 1000 = 5 THEN 'result_gone' ELSE 'completed' END, {at}, 'training', 'req-' || n, 'avatar-' || n,
  'fal-ai/flux-lora-portrait-trainer', 'guessed',
  CASE WHEN n > {rows} - {rows} / 500 THEN 'at_work' ELSE 'finished' END, {at}, {at}, {at}, {at},
  CASE WHEN n % 12 = 0 THEN 'failed' ELSE 'completed' END, {at}
FROM {source}
"""
LINES = (
    ("delivery_id", "claimed", "NULL", "n % 3 > 0"),
    ("delivery_id", "applied", REASON, "n % 1000 > 17"),
    ("delivery_id", "buried", REASON, "n % 1000 < 12"),
    ("delivery_id", "postponed", "'orphan'", "n % 50 = 0"),
    ("notification_id", "told", "'sent'", "n % 100 > 0"),
    ("delivery_id", "recovered", "NULL", "n % 200 = 5"),
    ("delivery_id", "redriven", "'orphan'", "n % 5000 = 5"),
)
TOTALS = """
INSERT INTO webhook_totals (name, writer, amount) SELECT '{short}.' || state, 0, count(*) FROM {table} GROUP BY state
"""


def fill(connection: Connection, rows: int, now: datetime) -> None:
    """Fill an empty database; ids ascend with time over SPAN."""
    is_sqlite = connection.dialect.name == "sqlite"
    begin = (now - SPAN).replace(tzinfo=None).isoformat(" ", "seconds")
    step = SPAN.total_seconds() / rows
    if is_sqlite:
        at = f"strftime('%Y-%m-%d %H:%M:%f', '{begin}', '+' || (n * {step:.6f}) || ' seconds') || '000'"
        body = f"CAST('{{\"lora\": \"Айша ' || n || '\"}}' || hex(zeroblob({FILLER // 2})) AS BLOB)"
        numbers = f"WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {rows})"
        source = "counted"
    else:
        at = f"TIMESTAMPTZ '{begin}+00' + n * INTERVAL '{step:.6f} seconds'"
        body = f"convert_to('{{\"lora\": \"Айша ' || n || '\"}}' || md5(n::text) || repeat('0', {FILLER}), 'UTF8')"
        numbers, source = "", f"generate_series(1, {rows}) AS counted(n)"
    words = {"rows": rows, "at": at, "body": body, "waits": WAITS.format(rows=rows)}
    if not is_sqlite:
        _run(connection, "SET LOCAL statement_timeout = 0")
    for statement in (DELIVERIES, MESSAGES, JOBS):
        _run(connection, statement.format(numbers=numbers, source=source, **words))
    for column, kind, reason, only in LINES:
        made = f"SELECT {at}, n, '{kind}', {reason.format(**words)}, 1 FROM {source} WHERE {only}"
        _run(connection, f"INSERT INTO webhook_events (at, {column}, kind, reason, attempt) {numbers} {made}")
    _run(connection, "UPDATE webhook_events SET who = 'operator', why = 'after the outage' WHERE kind = 'redriven'")
    for table in ("webhook_deliveries", "webhook_notifications"):
        _run(connection, TOTALS.format(short=table.removeprefix("webhook_"), table=table))


def _run(connection: Connection, statement: str) -> None:
    connection.execute(text(statement.replace(":", "\\:")))
