"""How a group of deliveries is written: one statement for many rows, spelt for each database."""

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from itertools import chain

import orjson
from sqlalchemy.engine import Connection

from app.db import totals, wake
from app.db.bulk_update import spell_moment
from app.db.tables import deliveries
from app.domain.delivery import Delivery, DeliveryState

MOST_AT_ONCE = 64  # rows of a statement on SQLite
STEP = 8  # from that many rows on a statement has a multiple of it: the driver keeps those of fifteen lengths
Identity = tuple[str, str]  # (request_id, body_sha256)
Row = tuple[Delivery, datetime, int]  # stored_at; how often it is repeated within the group
Found = tuple[int, bool, Identity]  # the row's id, whether it is new
_COLUMNS = (
    "due_at, request_id, body_sha256, body, headers, source, kind, nonce, repeats, received_at, stored_at, "
    "last_received_at"
)
_COUNT_UP = (
    "ON CONFLICT (request_id, body_sha256) DO UPDATE SET "
    "repeats = webhook_deliveries.repeats + excluded.repeats + 1, last_received_at = excluded.last_received_at "
    "RETURNING id, repeats, request_id, body_sha256"
)
# Spelt for the drivers: building them by SQLAlchemy costs ten times the insert.
_INTO = f"INTO webhook_deliveries (state, {_COLUMNS}) VALUES"
_ROW = f"('pending', {', '.join('?' * 12)})"
_UPSERT = f"INSERT {_INTO} {_ROW} {_COUNT_UP}"
_SINCE = "SELECT id, request_id, body_sha256 FROM webhook_deliveries WHERE id >= ?"
PENDING_TOTAL = totals.named(deliveries, DeliveryState.PENDING)
_COUNTS = f"given.kind <> '{totals.UNCOUNTED}'"
# One statement with the announcement and the totals in it, so that it needs no transaction around it.
_AT_ONCE = f"""
WITH given AS (
  SELECT * FROM json_to_recordset(%s) AS given(request_id text, body_sha256 text, body text, headers text, source text,
    kind text, nonce text, repeats int, received_at timestamptz, stored_at timestamptz)
), stored AS (
  INSERT INTO webhook_deliveries (state, {_COLUMNS})
  SELECT 'pending', stored_at, request_id, body_sha256, decode(body, 'hex'), headers, source, kind, nonce, repeats,
    received_at, stored_at, received_at
  FROM given {_COUNT_UP}
), seen AS (
  SELECT count(*) FILTER (WHERE stored.repeats = given.repeats) AS fresh,
    count(*) FILTER (WHERE stored.repeats = given.repeats AND {_COUNTS}) AS new,
    coalesce(sum(1 + given.repeats) FILTER (WHERE {_COUNTS}), 0) AS copies
  FROM stored JOIN given USING (request_id, body_sha256)
), announced AS (
  SELECT pg_notify('{wake.CHANNEL}', '{wake.WakeTopic.INBOX}') FROM seen WHERE fresh > 0
), counted AS (
  INSERT INTO webhook_totals (name, writer, amount)
  SELECT name, pg_backend_pid(), amount
  FROM seen, LATERAL (VALUES ('{PENDING_TOTAL}', new), ('{totals.DUPLICATES}', copies - new)) AS each(name, amount)
  WHERE amount > 0 {totals.COUNT_UP}
)
SELECT stored.* FROM stored LEFT JOIN announced ON true
"""  # noqa: S608  constants only  # nosec B608


def put_in_sqlite(connection: Connection, rows: Sequence[Row]) -> list[Found]:
    """Insert the rows, then count up those that were there already.

    Many rows share a statement: between two statements this thread gives up the interpreter's lock and has to wait for
    it, which costs more than a row does.
    """
    driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]  # its driver
    cursor = driver.cursor()
    before = driver.total_changes
    for start in range(0, len(rows), MOST_AT_ONCE):
        part = [_sqlite_values(row) for row in rows[start : start + MOST_AT_ONCE]]
        filled = len(part) if len(part) < STEP else -(-len(part) // STEP) * STEP
        part += [part[-1]] * (filled - len(part))  # it conflicts with itself and is passed over
        cursor.execute(_insert(filled), list(chain.from_iterable(part)))
    new = driver.total_changes - before
    first = (cursor.lastrowid or 0) - new + 1  # one writer: the ids follow one another
    if new == len(rows):
        return [(first + place, True, _identity(row)) for place, row in enumerate(rows)]
    added = cursor.execute(_SINCE, (first,)).fetchall() if new else []
    found = [(row_id, True, (request_id, sha)) for row_id, request_id, sha in added]
    stored = {identity for _, _, identity in found}
    for row in rows:
        if (identity := _identity(row)) not in stored:
            [(row_id, *_)] = cursor.execute(_UPSERT, _sqlite_values(row)).fetchall()
            found.append((row_id, False, identity))
    return found


def _identity(row: Row) -> Identity:
    return row[0].request_id, row[0].body_sha256


@cache
def _insert(rows: int) -> str:
    # A row that breaks a constraint undoes the transaction, which it ends anyway: to be able to undo this statement
    # alone, SQLite would first copy every page that it changes.
    return f"INSERT OR ROLLBACK {_INTO} {', '.join([_ROW] * rows)} ON CONFLICT DO NOTHING"


def put_in_postgresql(connection: Connection, rows: Sequence[Row]) -> list[Found]:
    """Insert the rows and count up those that were there, with the totals and the announcement, in one statement."""
    given = orjson.dumps(
        [
            {
                "request_id": one.request_id,
                "body_sha256": one.body_sha256,
                "body": one.body.hex(),
                "headers": one.headers,
                "source": one.source,
                "kind": one.kind,
                "nonce": one.nonce,
                "repeats": repeats,
                "received_at": one.received_at,
                "stored_at": stored_at,
            }
            for one, stored_at, repeats in rows
        ]
    )
    found = connection.exec_driver_sql(_AT_ONCE, (given.decode(),)).all()
    repeats_of = {_identity(row): row[2] for row in rows}
    return [
        (row_id, repeats == repeats_of[request_id, sha], (request_id, sha))
        for row_id, repeats, request_id, sha in found
    ]


def _sqlite_values(row: Row) -> tuple[object, ...]:
    delivery, stored_at, repeats = row
    stored, received = spell_moment(stored_at), spell_moment(delivery.received_at)
    return (
        stored,
        delivery.request_id,
        delivery.body_sha256,
        delivery.body,
        orjson.dumps(delivery.headers).decode(),
        delivery.source._value_,
        delivery.kind._value_,
        delivery.nonce,
        repeats,
        received,
        stored,
        received,
    )
