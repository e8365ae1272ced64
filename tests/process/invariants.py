"""The invariants I1-I7, read from the database, from what the twins saw and from the logs; none of our own code helps.

`watch` goes before a fault: it makes the database itself note every change of an avatar. `check` goes after it.
"""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from app.twins.sender import FalDelivery
from app.twins.telegram import TelegramMessage

HEALED_WITHIN = 60.0  # s (I6)
SIGNED = frozenset({"delivery", "replay"})  # every other kind of record is a forgery
FINAL = frozenset({"completed", "error"})
ALERTS = frozenset({"alert", "resolved"})  # kinds that the operator hears
WATCH_SQLITE = """
CREATE TABLE IF NOT EXISTS watched_changes (request_id text, was text, is_now text);
CREATE TRIGGER IF NOT EXISTS watch_changes AFTER UPDATE ON avatars WHEN OLD.status <> NEW.status BEGIN
  INSERT INTO watched_changes VALUES (NEW.fal_request_id, OLD.status, NEW.status);
END;
"""
WATCH_POSTGRESQL = """
CREATE TABLE IF NOT EXISTS watched_changes (request_id text, was text, is_now text);
CREATE OR REPLACE FUNCTION watch_changes() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO watched_changes VALUES (NEW.fal_request_id, OLD.status, NEW.status);
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER watch_changes AFTER UPDATE ON avatars FOR EACH ROW
  WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION watch_changes();
"""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All there is to judge by.

    `records` is everything that was sent, forgeries included; `crashes` counts the kills, each of which may have fallen
    between "Telegram said ok" and "marked sent"; `settled` says that nothing is under way any more, so that what was
    acknowledged must have been applied and told. `healed_after` is in seconds since the fault ended.
    """

    database_url: str
    records: Sequence[FalDelivery]
    messages: Sequence[TelegramMessage]
    logs: Sequence[Path] = ()
    secrets: Sequence[str] = ()
    crashes: int = 0
    settled: bool = True
    healed_after: float | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a sound run amounts to. `repeated` messages are the extra ones that I3 allows after a crash."""

    sent: int
    acknowledged: int
    applied: int
    messages: int
    repeated: int
    uncertain: int


def watch(database_url: str) -> None:
    """Let the database note every change of an avatar's status."""
    if (path := _sqlite_path(database_url)) is not None:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.executescript(WATCH_SQLITE)
    else:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(WATCH_POSTGRESQL)


def check(evidence: Evidence) -> Figures:
    """Assert all invariants and return the figures."""
    tables = _read(evidence.database_url)
    found = list(_broken(evidence, tables))
    assert not found, "\n".join(found[:20])
    heard = Counter(message.chat_id for message in evidence.messages)
    owed = Counter(row["chat_id"] for row in tables["notifications"])
    return Figures(
        sent=sum(len(record.attempts) for record in evidence.records),
        acknowledged=sum(record.acknowledged for record in evidence.records),
        applied=len(tables["changes"]),
        messages=len(evidence.messages),
        repeated=sum(max(count - owed[chat], 0) for chat, count in heard.items()),
        uncertain=sum(row["uncertain"] for row in tables["notifications"]),
    )


def rows(database_url: str, statement: str) -> list[dict[str, Any]]:
    """Read rows over a connection of our own."""
    if (path := _sqlite_path(database_url)) is not None:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement)]
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        return connection.execute(statement).fetchall()


def secrets_in(files: Iterable[Path], secrets: Sequence[str]) -> Iterator[str]:
    """Name every file that holds a secret."""
    for file in files:
        content = file.read_bytes()
        for number, secret in enumerate(secrets):
            if secret.encode() in content:
                yield f"I7: planted secret number {number} stands in {file}"


Rows = list[dict[str, Any]]


def _read(database_url: str) -> Mapping[str, Rows]:
    tables = {
        "deliveries": rows(database_url, "SELECT id, request_id, body, state, reason FROM webhook_deliveries"),
        "notifications": rows(
            database_url,
            "SELECT avatar_id, request_id, kind, chat_id, state, reason, uncertain FROM webhook_notifications",
        ),
        "avatars": rows(
            database_url, "SELECT fal_request_id AS request_id, lower(CAST(status AS varchar)) AS status FROM avatars"
        ),
        "changes": rows(
            database_url, "SELECT request_id, lower(was) AS was, lower(is_now) AS is_now FROM watched_changes"
        ),
    }
    if _sqlite_path(database_url) is not None:
        tables["soundness"] = rows(database_url, "PRAGMA integrity_check")
    return tables


def _broken(evidence: Evidence, tables: Mapping[str, Rows]) -> Iterator[str]:
    for row in tables.get("soundness", []):
        if row["integrity_check"] != "ok":
            yield f"the file is damaged: {row['integrity_check']}"
    yield from _stored(evidence, tables)
    yield from _one_final_state(evidence, tables)
    yield from _told_once(evidence, tables)
    yield from _nothing_unsigned(evidence, tables)
    yield from _answered(evidence)
    if evidence.healed_after is not None and evidence.healed_after > HEALED_WITHIN:
        yield f"I6: healed after {evidence.healed_after:.1f} s"
    yield from secrets_in(evidence.logs, evidence.secrets)


def _stored(evidence: Evidence, tables: Mapping[str, Rows]) -> Iterator[str]:
    stored = {(row["request_id"], bytes(row["body"] or b"")) for row in tables["deliveries"]}
    for record in evidence.records:
        if record.kind in SIGNED and record.acknowledged and (record.request_id, record.body) not in stored:
            yield f"I1: {record.request_id} was acknowledged and its bytes are not in the inbox"
    if len(stored) != len(tables["deliveries"]):
        yield "I1: a delivery is stored twice"


def _one_final_state(evidence: Evidence, tables: Mapping[str, Rows]) -> Iterator[str]:
    history = defaultdict(list)
    for row in tables["changes"]:
        history[row["request_id"]].append((row["was"], row["is_now"]))
    for request_id, changes in history.items():
        ends = Counter(is_now for _, is_now in changes if is_now in FINAL)
        if any(count > 1 for count in ends.values()) or any(was == "completed" for was, _ in changes):
            yield f"I2: {request_id} changed {changes}"
    if not evidence.settled:
        return
    acknowledged = {record.request_id for record in evidence.records if record.acknowledged and record.kind in SIGNED}
    for row in tables["avatars"]:
        if row["request_id"] in acknowledged and row["status"] not in FINAL:
            yield f"I2: {row['request_id']} was acknowledged and its avatar is {row['status']}"
    trained = {row["request_id"] for row in tables["avatars"]}
    for row in tables["deliveries"]:
        if row["request_id"] in trained and row["state"] != "done":
            yield f"I2: delivery {row['id']} of {row['request_id']} is {row['state']} ({row['reason']})"


def _told_once(evidence: Evidence, tables: Mapping[str, Rows]) -> Iterator[str]:
    # Of an alert each opening is told, and so is each level it gets to; `avatar_id` names both.
    outcomes = Counter(
        (row["request_id"], row["kind"], row["avatar_id"] if row["kind"] in ALERTS else None)
        for row in tables["notifications"]
    )
    yield from (f"I3: {count} notifications for {outcome}" for outcome, count in outcomes.items() if count > 1)
    heard = Counter(message.chat_id for message in evidence.messages)
    owed = Counter(row["chat_id"] for row in tables["notifications"])
    uncertain: Counter[int] = Counter()
    for row in tables["notifications"]:
        uncertain[row["chat_id"]] += row["uncertain"]
    extra = heard - owed
    for chat, count in extra.items():
        if count > uncertain[chat]:
            yield f"I3: chat {chat} heard {count} too many and only {uncertain[chat]} are counted as uncertain"
    if extra.total() > evidence.crashes:
        yield f"I3: {extra.total()} messages too many after {evidence.crashes} crashes"
    if evidence.settled:
        yield from (f"I3: chat {chat} heard {count} too few" for chat, count in (owed - heard).items())
        for row in tables["notifications"]:
            if row["state"] != "sent":
                yield f"I3: the notification of {row['request_id']} is {row['state']} ({row['reason']})"


def _nothing_unsigned(evidence: Evidence, tables: Mapping[str, Rows]) -> Iterator[str]:
    signed = {(record.request_id, record.body) for record in evidence.records if record.kind in SIGNED}
    ids = {request_id for request_id, _ in signed}
    for row in tables["deliveries"]:
        if row["body"] is not None and (row["request_id"], bytes(row["body"])) not in signed:
            yield f"I4: delivery {row['id']} was never signed"
    for row in tables["changes"]:
        if row["request_id"] not in ids:
            yield f"I4: the avatar of {row['request_id']} changed without a signed delivery"
    for record in evidence.records:
        if record.kind not in SIGNED and record.acknowledged:
            yield f"I4: a forgery ({record.kind}) was acknowledged"


def _answered(evidence: Evidence) -> Iterator[str]:
    """Judge the answers; the sender's own patience must be the 10 s that were promised."""
    for record in evidence.records:
        for attempt in record.attempts:
            if attempt.error is not None and attempt.error.startswith("no answer"):
                yield f"I5: {record.request_id}: {attempt.error}"
            if attempt.status is not None and (300 <= attempt.status < 400 or attempt.status in (500, 502, 504)):
                yield f"I5: {record.request_id} was answered {attempt.status}"


def _sqlite_path(database_url: str) -> str | None:
    if not database_url.startswith("sqlite"):
        return None
    return urlsplit(database_url).path.removeprefix("/")
