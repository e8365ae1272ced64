"""Rows that the pages show: a day at the server, with names and payloads that mean harm."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import insert
from sqlalchemy.engine import Connection

from app.db import totals
from app.db.tables import alerts, deliveries, events, jobs, notifications

HOSTILE = '<script>window.__pwned=1</script><img src=x onerror="window.__pwned=1">\'"}}{{7*7}}\u202e'
AVATAR = "3f0c9c50-0000-4000-8000-000000000001"
OWNER = "3f0c9c50-0000-4000-8000-000000000002"
ENDPOINT = "fal-ai/flux-lora-portrait-trainer"


def a_day(connection: Connection, now: datetime, odd: str = HOSTILE) -> None:
    """Write deliveries of each state with their jobs, messages and history, and two alerts; `odd` is a stranger's."""
    for number in range(60):
        _trained(connection, number + 1, now - timedelta(minutes=90 * (60 - number) / 60, seconds=7), odd)
    _dead(connection, 61, now - timedelta(minutes=5), "conflict", odd, detail=odd)
    _dead(connection, 62, now - timedelta(minutes=4), "not_json", odd, detail="")
    _dead(
        connection,
        63,
        now - timedelta(hours=3),
        "result_unreadable" if odd != HOSTILE else HOSTILE[:40],
        odd,
        detail=odd,
    )
    _job(connection, 64, now - timedelta(minutes=25), state="pending", stage="at_work", percent=63, looked_at=now)
    _job(connection, 65, now - timedelta(hours=9), state="pending", stage="queued", position=4, looked_at=now)
    alert = {"machine": "", "opened_at": now, "changed_at": now, "seen_at": now, "times": 1}
    named = {"name": "deliveries_buried", "level": "critical", "detail": "2 × conflict"}
    connection.execute(insert(alerts).values(**named, **alert))
    hostile = {"name": "clock_skew", "level": "warn", "detail": odd if odd == HOSTILE else "412"}
    connection.execute(insert(alerts).values(**hostile, **alert))
    amounts = {"deliveries.done": 60, "deliveries.dead": 3, "notifications.sent": 59, "notifications.dead": 1}
    totals.add(connection, amounts)


def request_of(number: int) -> str:
    return f"req-{number:04}"


def _delivery(connection: Connection, number: int, at: datetime, **changes: Any) -> None:
    body = changes.pop("body", json.dumps({"request_id": request_of(number), "status": "OK"}).encode())
    connection.execute(
        insert(deliveries).values(
            **{
                "id": number,
                "state": "done",
                "due_at": at,
                "attempt": 1,
                "finished_at": at + timedelta(seconds=1),
                "request_id": request_of(number),
                "body_sha256": sha256(body).hexdigest(),
                "fal_request_id": request_of(number),
                "body": body,
                "headers": json.dumps(
                    {"x-fal-webhook-request-id": request_of(number), "x-odd": changes.pop("odd", "")}
                ),
                "source": "webhook",
                "received_at": at,
                "stored_at": at + timedelta(milliseconds=4),
                "last_received_at": at,
                **changes,
            }
        )
    )


def _job(connection: Connection, number: int, at: datetime, **changes: Any) -> None:
    connection.execute(
        insert(jobs).values(
            **{
                "id": number,
                "state": "done",
                "due_at": at + timedelta(days=1),  # no worker takes what the pages are to show
                "request_id": request_of(number),
                "subject": AVATAR,
                "endpoint": ENDPOINT,
                "endpoint_source": "confirmed",
                "first_seen_at": at - timedelta(minutes=20),
                "at_work_since": at - timedelta(minutes=18),
                **changes,
            }
        )
    )


def _message(connection: Connection, number: int, at: datetime, **changes: Any) -> None:
    connection.execute(
        insert(notifications).values(
            **{
                "id": number,
                "state": "sent",
                "due_at": at,
                "attempt": 1,
                "finished_at": at + timedelta(seconds=2),
                "delivery_id": number,
                "avatar_id": AVATAR,
                "request_id": request_of(number),
                "kind": "ready",
                "avatar_name": "Айгуль",
                "owner_id": OWNER,
                "chat_id": 5_000_000 + number,
                "language": "ru",
                "trainer": "portrait",
                "message_id": number,
                "received_at": at,
                "stored_at": at,
                "applied_at": at + timedelta(seconds=1),
                **changes,
            }
        )
    )


def _event(connection: Connection, at: datetime, kind: str, **values: Any) -> None:
    connection.execute(insert(events).values(at=at, kind=kind, **values))


def _trained(connection: Connection, number: int, at: datetime, odd: str) -> None:
    _delivery(connection, number, at, odd=odd)
    _job(connection, number, at, outcome="completed", finished_at=at, delivery_id=number, stage="finished")
    is_dead = number == 60
    state = {"state": "dead", "reason": "rejected", "message_id": None} if is_dead else {}
    _message(connection, number, at, **state, **({} if number % 7 else {"avatar_name": odd}))
    _event(connection, at + timedelta(seconds=1), "applied", delivery_id=number, attempt=1, reason="completed")
    kind, reason = ("buried", "rejected") if is_dead else ("told", None)
    _event(connection, at + timedelta(seconds=2), kind, notification_id=number, attempt=1, reason=reason)


def _dead(connection: Connection, number: int, at: datetime, reason: str, odd: str, *, detail: str) -> None:
    body = json.dumps({"request_id": request_of(number), "error": odd}, ensure_ascii=False).encode()
    _delivery(connection, number, at, state="dead", reason=reason, detail=detail, body=body, odd=odd)
    _event(connection, at + timedelta(seconds=1), "postponed", delivery_id=number, attempt=1, reason=reason)
    _event(connection, at + timedelta(seconds=9), "buried", delivery_id=number, attempt=2, reason=reason)


def seeded_at() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  the server's clock is the system's
