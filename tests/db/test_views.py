"""The reads of the operator's pages, on both databases."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, update

from app.db import events, inbox
from app.db.engine import Connection, Database, open_database
from app.db.operator_queries import Queue
from app.db.tables import deliveries, jobs, notifications
from app.db.views import charts, conditions, figures, one, open_jobs, pages, time_limit
from app.db.views.conditions import Where, where
from app.db.views.pages import Amount
from app.domain.errors import SearchTooWide
from app.domain.history import Event
from app.domain.job_alarms import FIRST_IN_LINE
from app.domain.progress import FIRST_GUESS
from app.domain.search import EVERYTHING, Search, parse_search
from app.domain.trainer import Trainer
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio
APART = timedelta(minutes=30)  # more than clocks may differ by
NOW = START + 20 * APART


async def store(database: Database, count: int = 12, **changes: Any) -> list[int]:
    """Deliveries r0, r1, … half an hour apart; every third is dead by `orphan`."""
    ids = []
    with database.engine.begin() as transaction:
        for number in range(count):
            at = START + number * APART
            body = f'{{"n": {number}, "word": "привет\\u043f"}}'.encode()
            [receipt] = inbox.put(transaction, [(delivery(f"r{number}", body, at), at)])
            ids.append(receipt.id)
        dead = update(deliveries).where(deliveries.c.id.in_(ids[::3]))
        transaction.execute(dead.values(state="dead", reason="orphan", finished_at=START, **changes))
    return ids


async def tell(database: Database, request_id: str, **changes: Any) -> None:
    values = {
        "state": "sent", "due_at": START, "delivery_id": 1, "avatar_id": "a1", "request_id": request_id,
        "kind": "ready", "avatar_name": "Айша", "owner_id": "o1", "chat_id": 42, "language": "ru",
        "received_at": START, "stored_at": START, "applied_at": START, "finished_at": START + APART,
        "trainer": "portrait",
    }  # fmt: skip
    with database.engine.begin() as transaction:
        transaction.execute(insert(notifications).values({**values, **changes}))


async def expect(database: Database, request_id: str, **changes: Any) -> None:
    values = {
        "state": "pending", "due_at": START, "kind": "training", "request_id": request_id, "subject": "a1",
        "endpoint": "fal-ai/x", "endpoint_source": "guessed", "first_seen_at": START,
    }  # fmt: skip
    with database.engine.begin() as transaction:
        transaction.execute(insert(jobs).values({**values, **changes}))


async def found(database: Database, words: str, queue: Queue = Queue.DELIVERIES) -> list[str]:
    page = await database.read(pages.page, queue, parse_search(words, queue.value, NOW))
    return [row["request_id"] for row in page.rows]


async def test_a_search_finds(database: Database) -> None:
    """Each qualifier, alone and with others, newest first."""
    ids = await store(database)
    await tell(database, "r2")
    await expect(database, "r7")
    with database.engine.begin() as transaction:
        transaction.execute(update(deliveries).where(deliveries.c.id == ids[3]).values(fal_request_id="body-3"))
    for words, expected in [
        ("state:dead", ["r9", "r6", "r3", "r0"]),
        ("reason:orphan", ["r9", "r6", "r3", "r0"]),
        ("state:dead reason:orphan", ["r9", "r6", "r3", "r0"]),
        ("state:pending reason:orphan", []),
        ("state:pending after:6h", ["r11", "r10", "r8"]),
        ("r4", ["r4"]),
        ("body-3", ["r3"]),
        ("avatar:a1", ["r7", "r2"]),
        ("owner:o1", ["r2"]),
        ("chat:42 state:pending", ["r2"]),
        ("chat:43", []),
        ("before:2026-11-22T13:00 state:pending", ["r1"]),
        ("kind:test", []),
        ("kind:training state:dead after:6h", ["r9"]),
        ("contains:привет state:dead", ["r9", "r6", "r3", "r0"]),
        ('contains:"\\"n\\": 5"', ["r5"]),
        ("contains:п r8", ["r8"]),
    ]:
        assert await found(database, words) == expected, words


async def test_our_own_id_is_found(database: Database) -> None:
    """A number is our id as well."""
    ids = await store(database, 3)
    assert await found(database, str(ids[1])) == ["r1"]


async def test_pages_follow_one_another_when_their_rows_are_gone(database: Database) -> None:
    """A page is asked for by an id: whether its row is still there or not, nothing is shown twice or left out."""
    ids = await store(database, 9)
    first = await database.read(pages.page, Queue.DELIVERIES, EVERYTHING, limit=4)
    assert ([row["id"] for row in first.rows], first.older, first.newer) == (ids[:4:-1], ids[5], None)
    with database.engine.begin() as transaction:
        transaction.execute(delete(deliveries).where(deliveries.c.id == ids[5]))
    second = await database.read(pages.page, Queue.DELIVERIES, EVERYTHING, before=first.older, limit=4)
    assert [row["id"] for row in second.rows] == ids[4:0:-1]
    back = await database.read(pages.page, Queue.DELIVERIES, EVERYTHING, after=second.newer, limit=4)
    assert ([row["id"] for row in back.rows], back.newer) == ([ids[8], ids[7], ids[6]], None)
    last = await database.read(pages.page, Queue.DELIVERIES, EVERYTHING, before=ids[1], limit=4)
    assert ([row["id"] for row in last.rows], last.older) == ([ids[0]], None)


async def test_a_delivery_says_whose_it_is(database: Database) -> None:
    """The avatar, the owner and how the message ended stand beside the delivery; none where nobody was told."""
    await store(database, 3)
    await tell(database, "r2", state="dead")
    page = await database.read(pages.page, Queue.DELIVERIES, EVERYTHING)
    shown = [(row["avatar_id"], row["owner_id"], row["chat_id"], row["told"]) for row in page.rows]
    assert shown == [("a1", "o1", 42, "dead"), (None, None, None, None), (None, None, None, None)]
    assert not {"body", "headers", "detail"} & set(page.rows[0])


async def test_counts_are_capped(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count stops at its cap and says so."""
    monkeypatch.setattr(pages, "MOST_COUNTED", 5)
    await store(database, 9)
    amount = await database.read(pages.count, Queue.DELIVERIES, EVERYTHING)
    assert str(amount) == "5+"
    assert str(await database.read(pages.count, Queue.DELIVERIES, Search(state="dead"))) == "3"


async def test_what_cannot_be_counted_in_time_is_a_question_mark(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One facet that takes too long leaves the others their figures."""
    await store(database)
    count = pages._count

    def slow(connection: Connection, wanted: Where, most: int) -> Amount:
        if str(wanted.terms[0]).endswith("= 'pending'"):
            raise SearchTooWide("too long")
        return count(connection, wanted, most)

    monkeypatch.setattr(pages, "_count", slow)
    found = await database.read(pages.facets, Queue.DELIVERIES, EVERYTHING)
    assert {state: str(amount) for state, amount in found.states.items() if state in ("pending", "dead")} == {
        "pending": "?",
        "dead": "4",
    }


async def test_a_page_of_what_waits_walks_its_index(sqlite_url: str) -> None:
    """Deep in the table, too, SQLite finds pending rows by the index of the few that wait."""
    database = open_database(sqlite_url)

    def plan(connection: Connection) -> str:
        wanted = where(connection, deliveries, Search(state="pending"))
        page = wanted.newest(deliveries.c.id, older_than=500_000).compile(
            connection.engine, compile_kwargs={"literal_binds": True}
        )
        return " ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {page}"))

    assert "webhook_deliveries_due" in await database.read(plan)
    await database.close()


async def test_facets_count_by_state_and_by_reason(database: Database) -> None:
    """What a click on a state or a reason would find."""
    await store(database)
    everything = await database.read(pages.facets, Queue.DELIVERIES, EVERYTHING)
    assert {state: str(amount) for state, amount in everything.states.items()} == {
        "pending": "8", "done": "0", "dead": "4", "ignored": "0",
    }  # fmt: skip
    assert ({reason: str(amount) for reason, amount in everything.reasons.items()}, everything.of) == (
        {"orphan": "4"},
        None,
    )
    dead = await database.read(pages.facets, Queue.DELIVERIES, Search(state="dead", owner="nobody"))
    assert ({str(amount) for amount in dead.states.values()}, dead.reasons) == ({"0"}, {})
    pending = await database.read(pages.facets, Queue.DELIVERIES, Search(state="pending"))
    assert (str(pending.states["dead"]), pending.reasons) == ("4", {})


async def test_contains_says_how_far_it_looked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies are searched newest first, so many at most and for so long at most; what was not looked at is said."""
    await store(database, 9)
    monkeypatch.setattr(pages, "CHUNK", 2)
    whole = await database.read(pages.page, Queue.DELIVERIES, Search(contains='"n": 1,'))
    assert ([row["request_id"] for row in whole.rows], whole.searched, whole.is_whole) == (["r1"], 9, True)
    monkeypatch.setattr(pages, "SEARCHED_BODIES", 4)
    part = await database.read(pages.page, Queue.DELIVERIES, Search(contains='"n": 1,'))
    assert (part.rows, part.searched, part.is_whole) == ([], 4, False)
    monkeypatch.setattr(pages, "SEARCHED_BODIES", 100)
    monkeypatch.setattr(pages, "SCANNED", -1)
    late = await database.read(pages.page, Queue.DELIVERIES, Search(contains='"n": 1,'))
    assert (late.searched, late.is_whole) == (2, False)


async def test_a_search_that_takes_too_long_is_ended(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wide search ends by itself, and the connection goes on."""
    monkeypatch.setattr(time_limit, "STEPS", 1)
    slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 30000000) SELECT max(i) FROM n"

    def read(connection: Any) -> None:
        with time_limit.time_limit(connection, 0.05):
            connection.exec_driver_sql(slow)

    with pytest.raises(SearchTooWide):
        await database.read(read)
    assert await found(database, "") == []


async def test_messages_and_jobs_are_searched_alike(database: Database) -> None:
    """The other queues know the same qualifiers, and jobs their stage."""
    await tell(database, "r1")
    await tell(database, "r2", kind="failed", state="dead", reason="blocked", avatar_id="a2", chat_id=7)
    await expect(database, "r1", stage="at_work")
    ended = {"finished_at": NOW, "outcome": "gone", "artifact": "absent"}
    await expect(database, "r2", state="dead", reason="result_gone", subject="a2", **ended)
    for words, expected in (
        ("", ["r2", "r1"]), ("state:dead", ["r2"]), ("reason:blocked", ["r2"]), ("kind:ready", ["r1"]),
        ("avatar:a1", ["r1"]), ("owner:o1", ["r2", "r1"]), ("chat:7 state:dead", ["r2"]), ("request:r1", ["r1"]),
    ):  # fmt: skip
        assert await found(database, words, Queue.NOTIFICATIONS) == expected, words
    for words, expected in (
        ("", ["r2", "r1"]), ("state:dead", ["r2"]), ("stage:at_work state:pending", ["r1"]), ("avatar:a2", ["r2"]),
        ("chat:42", ["r1"]), ("reason:result_gone", ["r2"]), ("r2", ["r2"]),
        ("outcome:gone", ["r2"]), ("artifact:absent state:dead", ["r2"]), ("outcome:failed", []), ("artifact:seen", []),
    ):  # fmt: skip
        assert await found(database, words, Queue.JOBS) == expected, words


async def test_jobs_that_ended_badly_are_found_by_an_index(sqlite_url: str) -> None:
    """What an alert leads to is found among a million jobs without reading them."""
    database = open_database(sqlite_url)
    with database.engine.connect() as connection:
        for words in ("outcome:gone", "artifact:absent", "outcome:gone state:done"):
            wanted = conditions.where(connection, jobs, parse_search(words, "jobs", NOW)).newest(jobs.c.id)
            compiled = wanted.compile(connection, compile_kwargs={"literal_binds": True})
            plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")]
            assert any("INDEX webhook_jobs_" in step for step in plan), plan
            assert not any(step.startswith("SCAN webhook_jobs") for step in plan), plan
    await database.close()


async def test_a_job_is_late_when_it_takes_longer_than_nearly_all(database: Database) -> None:
    """The page tells the usual time, the expected end, and who is late."""
    usual = FIRST_GUESS[Trainer.STYLE]
    said = {"stage": "at_work", "said_at": NOW}
    await expect(database, "late", at_work_since=NOW - usual.late - timedelta(minutes=1), **said)
    await expect(database, "fine", at_work_since=NOW - timedelta(minutes=1), **said)
    await expect(database, "done", state="done", at_work_since=START, finished_at=NOW, stage="finished")
    queued = {"stage": "queued", "stage_since": NOW - FIRST_IN_LINE - timedelta(minutes=1), "said_at": NOW}
    await expect(database, "first", position=0, **queued)
    await expect(database, "second", position=1, **queued)
    page = await database.read(open_jobs.jobs_page, EVERYTHING, now=NOW, trainer_of=lambda _: Trainer.STYLE)
    shown = {row["request_id"]: (row["is_late"], row["usual"], row["ends_at"]) for row in page.rows}
    ends_at = NOW - timedelta(minutes=1) + usual.likely
    assert shown == {
        "late": (True, usual.likely, NOW - usual.late - timedelta(minutes=1) + usual.likely),
        "fine": (False, usual.likely, ends_at),
        "done": (False, usual.likely, None),
        "first": (True, usual.likely, None),
        "second": (False, usual.likely, None),
    }


async def test_one_delivery_has_its_job_messages_steps_and_siblings(database: Database) -> None:
    """All that belongs to a delivery, and the other deliveries of its avatar."""
    ids = await store(database, 3)
    await tell(database, "r1")
    await expect(database, "r1", first_seen_at=START)
    await expect(database, "r2")
    with database.engine.begin() as transaction:
        events.note(transaction, [Event(START + APART, "postponed", ids[1], attempt=1, reason="orphan")])
    whole = await database.read(one.one_delivery, ids[1])
    assert whole is not None
    assert (whole.row["request_id"], whole.job and whole.job["subject"], len(whole.messages)) == ("r1", "a1", 1)
    assert "nonce" not in (whole.job or {})
    assert [row["request_id"] for row in whole.others] == ["r2"]
    assert ("postponed", "orphan") in [(step.kind, step.reason) for step in whole.steps]
    assert await database.read(one.one_delivery, 10**9) is None


async def test_errors_are_grouped_by_reason_and_time(database: Database) -> None:
    """How often each reason came up in an hour, six, a day and a week."""
    ages = {"orphan": (0.5, 3, 20, 100, 200), "conflict": (5,)}
    lines = [
        Event(NOW - timedelta(hours=age), "buried", 1, reason=reason) for reason, hours in ages.items() for age in hours
    ]
    with database.engine.begin() as transaction:
        events.note(transaction, [*lines, Event(NOW, "applied", 1, reason="completed")])
        events.note(transaction, [Event(NOW, "postponed", notification_id=1, reason="telegram_down")])
    groups = await database.read(figures.errors, NOW)
    assert [(group.queue, group.reason, tuple(group.times.values())) for group in groups] == [
        ("deliveries", "orphan", (1, 2, 3, 4)),
        ("deliveries", "conflict", (0, 1, 1, 1)),
        ("notifications", "telegram_down", (1, 1, 1, 1)),
    ]


async def test_the_balance_finds_every_delivery_again(database: Database) -> None:
    """What came in since then is waiting, applied, dead or ignored; nothing is in two places or in none."""
    await store(database, 12)
    await tell(database, "r1")
    await expect(database, "r1")
    with database.engine.begin() as transaction:
        events.note(transaction, [Event(NOW, "recovered", 1), Event(NOW, "drifted", 2)])
    balance = await database.read(figures.balance, NOW)
    assert (balance.received, balance.deliveries["dead"], balance.deliveries["pending"]) == (12, 4, 8)
    assert (balance.submitted, balance.told, balance.recovered, balance.mended) == (1, 1, 1, 1)
    assert balance.oldest_waiting is not None


async def test_charts_have_a_figure_for_every_step(database: Database) -> None:
    """Applied, told, troubles and the share of successes, by equal steps up to now."""
    with database.engine.begin() as transaction:
        for minutes, reason in ((1, "completed"), (1, "failed"), (30, "completed")):
            events.note(transaction, [Event(NOW - timedelta(minutes=minutes), "applied", 1, reason=reason)])
        events.note(transaction, [Event(NOW - timedelta(minutes=30), "told", notification_id=1, reason="sent")])
    await tell(database, "r1", received_at=NOW - timedelta(seconds=9), applied_at=NOW, finished_at=NOW)
    series = await database.read(charts.charts, NOW, "1h")
    assert (len(series.moments), sum(series.applied), sum(series.told)) == (60, 3, 1)
    assert [share for share in series.success if share is not None] == [1.0, 0.5]
    assert series.waits["portrait"] == charts.OwnerWait(9.0, 9.0, 1)
    assert [len((await database.read(charts.charts, NOW, name)).moments) for name in ("6h", "24h", "7d")] == [
        36,
        24,
        56,
    ]


async def test_the_audit_names_who_and_why(database: Database) -> None:
    """Operators' acts, newest first, by keyset."""
    with database.engine.begin() as transaction:
        acts = [Event(NOW, "redriven", number, who="op", why="outage") for number in range(3)]
        events.note(transaction, [*acts, Event(NOW, "ignored", 9, who="other"), Event(NOW, "applied", 1)])
    lines = await database.read(figures.audit, limit=2)
    assert [(line["kind"], line["who"]) for line in lines] == [("ignored", "other"), ("redriven", "op")]
    older = await database.read(figures.audit, before=lines[-1]["id"])
    assert [line["delivery_id"] for line in older] == [1, 0]
    assert await database.read(figures.audit, who="nobody") == []
