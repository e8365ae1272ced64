"""The alerts' table, and what is counted for it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from app.db import alerts, operator_queries, outbox, retention
from app.db.alerts import count_failures, count_queues
from app.db.engine import Database
from app.db.operator_queries import Queue
from app.db.tables import deliveries, jobs, notifications
from app.domain.alert import Alarm, Alert, AlertLevel, Condition, unopened
from app.domain.alert_rules import FailureRate, QueueFacts
from app.domain.notification import Notification, Owner, Topic, alert_message
from tests.fakes import START

pytestmark = pytest.mark.anyio

ALARM = Alarm(Condition.CERTIFICATE_REFUSED, AlertLevel.CRITICAL, "a.crt: empty", "web-1")
OPEN = replace(unopened(ALARM, START), resolved_at=None, times=1, told_at=START, told_level=AlertLevel.CRITICAL)
EARLIER = START - timedelta(hours=1)


async def add_delivery(database: Database, name: str, state: str, due_at: datetime = START) -> None:
    with database.engine.begin() as transaction:
        transaction.execute(
            insert(deliveries).values(
                state=state,
                due_at=due_at,
                request_id=name,
                body_sha256=name,
                headers="{}",
                source="webhook",
                received_at=EARLIER,
                stored_at=EARLIER,
                last_received_at=EARLIER,
            )
        )


async def add_message(database: Database, name: str, state: str, reason: str | None, kind: str = "ready") -> None:
    with database.engine.begin() as transaction:
        transaction.execute(
            insert(notifications).values(
                state=state,
                reason=reason,
                due_at=START,
                delivery_id=1,
                avatar_id=name,
                request_id=name,
                kind=kind,
                avatar_name="Айша",
                owner_id="o",
                chat_id=1,
                language="ru",
                received_at=EARLIER,
                stored_at=EARLIER,
                applied_at=EARLIER,
            )
        )


async def count(database: Database) -> QueueFacts:
    with database.engine.connect() as connection:
        return count_queues(connection, START)


async def load(database: Database, machine: str, *alarms: Alarm) -> list[Alert]:
    with database.engine.begin() as transaction:
        return alerts.load(transaction, machine, alarms, START)


async def save(database: Database, *changed: Alert) -> None:
    with database.engine.begin() as transaction:
        alerts.save(transaction, changed)


async def tell(database: Database, *news: Notification) -> None:
    with database.engine.begin() as transaction:
        alerts.tell(transaction, news, START)


async def messages(database: Database) -> Sequence[Any]:
    with database.engine.connect() as connection:
        return (connection.execute(select(notifications).order_by(notifications.c.id))).all()


def news(kind: Topic = Topic.ALERT) -> Notification:
    return alert_message(OPEN, kind, chat_id=42, language="ru")


async def test_empty_queues_have_nothing_to_tell(database: Database) -> None:
    """No rows: nothing buried, nothing due, nothing refused."""
    assert await count(database) == QueueFacts({}, {}, None, None, None, 0)


async def test_dead_rows_count_until_somebody_decides(database: Database) -> None:
    """Of all states only `dead` waits for the operator."""
    for state in ("pending", "done", "dead", "ignored"):
        await add_delivery(database, state, state)
        await add_message(database, state, "sent" if state == "done" else state, "bug")
    facts = await count(database)
    assert (sum(facts.buried_deliveries.values()), facts.buried_notifications) == (1, {"bug": 1})


@pytest.mark.parametrize(
    ("kind", "reason", "counted"),
    [
        ("ready", "rejected", 1),
        ("failed", "no_chat_id", 1),
        ("ready", "owner_unreachable", 0),
        ("alert", "rejected", 0),
        ("resolved", "rejected", 0),
    ],
)
async def test_which_buried_messages_alarm(database: Database, kind: str, reason: str, counted: int) -> None:
    """An owner who left is nobody's to mend, and an alert that could not be told must raise no other."""
    await add_message(database, "m", "dead", reason, kind)
    assert (await count(database)).buried_notifications == ({reason: counted} if counted else {})


async def test_an_orphan_is_late_after_a_quarter_of_an_hour(database: Database) -> None:
    """A delivery without a row of the bot's counts once its row should long have been there."""
    for name, minutes in (("old", 16), ("young", 14)):
        await add_delivery(database, name, "pending", START)
        received = START - timedelta(minutes=minutes)
        change = update(deliveries).where(deliveries.c.request_id == name).values(reason="orphan", received_at=received)
        with database.engine.begin() as connection:
            connection.execute(change)
    assert (await count(database)).late_orphans == 1


async def test_failures_are_counted_among_the_last_to_end(database: Database) -> None:
    """The twenty that ended last stand against those before them; superseded and open jobs say nothing."""
    ended = [("failed", n) for n in range(6)] + [("completed", n) for n in range(6, 30)] + [("superseded", 40)]
    rows = [
        {"state": "done", "outcome": outcome, "due_at": START, "kind": "training", "request_id": f"r{n}",
         "endpoint_source": "guessed", "first_seen_at": START, "finished_at": START - timedelta(minutes=n)}
        for outcome, n in ended
    ]  # fmt: skip
    await database.write(lambda connection: connection.execute(insert(jobs), rows))
    assert await database.read(count_failures) == FailureRate(20, 6, 10, 0)


async def test_the_oldest_due_row_is_the_one_due_first(database: Database) -> None:
    """Finished rows do not count, and waiting for its time is no backlog."""
    await add_delivery(database, "old", "done", EARLIER)
    await add_delivery(database, "due", "pending", START - timedelta(minutes=20))
    await add_delivery(database, "later", "pending", START + timedelta(hours=1))
    assert (await count(database)).oldest_due == START - timedelta(minutes=20)


async def test_a_row_behind_a_lock_waits_since_it_came(database: Database) -> None:
    """Looked at every 3 s it is never overdue; its age tells that somebody holds the avatar for long."""
    await add_delivery(database, "held", "pending")
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(reason="locked"))
    assert (await count(database)).oldest_due == EARLIER


async def test_a_refused_token_is_known_by_what_waits_for_it(database: Database) -> None:
    """Since when: the oldest message that waits because Telegram refused the token."""
    await add_message(database, "waits", "pending", "token_refused")
    await add_message(database, "paced", "pending", "paced")
    assert (await count(database)).refused_since == EARLIER


async def test_an_alert_reads_back_as_it_was_written(database: Database) -> None:
    """Every column survives, the empty ones too."""
    await load(database, "web-1", ALARM)
    await save(database, OPEN)
    assert await load(database, "web-1") == [OPEN]
    await save(database, replace(OPEN, told_at=None, told_level=None, gone_at=START))
    assert await load(database, "web-1", ALARM) == [replace(OPEN, told_at=None, told_level=None, gone_at=START)]


async def test_a_machine_sees_its_own_alerts_only(database: Database) -> None:
    """Another machine's rows and the shared ones are not loaded."""
    for machine in ("web-1", "web-2", ""):
        await load(database, machine, replace(ALARM, machine=machine))
    assert [alert.name for alert in await load(database, "web-2")] == ["certificate_refused@web-2"]
    assert [alert.name for alert in await load(database, "")] == ["certificate_refused"]


async def test_a_message_is_owed_once(database: Database) -> None:
    """The same opening at the same level cannot be told twice, whoever tries."""
    await tell(database, news())
    await tell(database, news(), news(Topic.RESOLVED))
    assert [row.kind for row in await messages(database)] == ["alert", "resolved"]


async def test_an_owed_message_is_claimed_as_it_was_put(database: Database) -> None:
    """The outbox hands out an alert like any message, with its condition as the cause."""
    await tell(database, news())
    with database.engine.begin() as transaction:
        claimed = outbox.claim(transaction, now=START, lease_until=START + timedelta(seconds=60), limit=10, rate=25)
    assert [item.notification for item in claimed] == [news()]
    assert claimed[0].notification.owner == Owner("00000000-0000-0000-0000-000000000000", 42, "ru")


async def test_the_operator_can_find_and_redrive_an_alert(database: Database) -> None:
    """`notifications show NAME` finds it by the alert's name, and an unsent one can be made due again."""
    await tell(database, news())
    with database.engine.begin() as transaction:
        transaction.execute(text("UPDATE webhook_notifications SET state = 'unsent'"))
    (row,) = await database.read(operator_queries.find, Queue.NOTIFICATIONS, "certificate_refused@web-1")
    with database.engine.begin() as transaction:
        changed = operator_queries.redrive(transaction, Queue.NOTIFICATIONS, [row["id"]], note="", now=START)
    assert changed == [row["id"]]


async def test_retention_empties_an_old_alert_s_message(database: Database) -> None:
    """After RETENTION_DAYS the detail is gone like an avatar's name; the identity stays."""
    await tell(database, news())
    with database.engine.begin() as transaction:
        transaction.execute(text("UPDATE webhook_notifications SET state = 'sent', finished_at = due_at"))
        assert retention.prune(transaction, START + timedelta(days=1), 100) == 1
    await tell(database, news())
    assert [row.avatar_name for row in await messages(database)] == [""]


async def test_lost_machines(database: Database) -> None:
    """Open, of a machine, and not looked at since: that is lost. Shared, closed and fresh ones are not."""
    cases = {
        "old": replace(OPEN, seen_at=EARLIER),
        "missed": replace(OPEN, seen_at=EARLIER - timedelta(hours=1), gone_at=EARLIER),
        "fresh": replace(OPEN, seen_at=START),
        "closed": replace(OPEN, seen_at=EARLIER, resolved_at=EARLIER),
        "": replace(OPEN, seen_at=EARLIER),
    }
    for machine, alert in cases.items():
        alarm = replace(ALARM, machine=machine)
        await load(database, machine, alarm)
        await save(database, replace(alert, name=alarm.name, machine=machine))
    with database.engine.begin() as transaction:
        found = alerts.lost(transaction, START - timedelta(minutes=1))
    assert [alert.machine for alert in found] == ["missed", "old"]


async def test_forgetting_takes_old_ended_alerts_only(database: Database) -> None:
    """What is open stays, however old; what ended before the given moment goes."""
    for machine, ended in (("a", None), ("b", EARLIER), ("c", START)):
        alarm = replace(ALARM, machine=machine)
        await load(database, machine, alarm)
        await save(database, replace(OPEN, name=alarm.name, machine=machine, resolved_at=ended))
    with database.engine.begin() as transaction:
        alerts.forget(transaction, START)
    assert [(await load(database, machine)) != [] for machine in ("a", "b", "c")] == [True, False, True]


async def test_the_oldest_owed_message_is_an_owner_s(database: Database) -> None:
    """Told, buried and the operator's own messages do not count, nor what was just redriven or is being sent."""
    for name, state, kind in (("told", "sent", "ready"), ("dead", "dead", "ready"), ("ours", "pending", "alert")):
        await add_message(database, name, state, None, kind)
    for reason in ("redriven", "sending"):
        await add_message(database, reason, "pending", reason)
    assert (await count(database)).oldest_owed is None
    await add_message(database, "owed", "pending", "telegram_down")
    assert (await count(database)).oldest_owed == EARLIER
