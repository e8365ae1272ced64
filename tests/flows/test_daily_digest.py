"""Once a day the operator hears what became of the trainings, on both databases."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from app.db.digest import sum_up
from app.db.engine import Database
from app.db.tables import jobs, notifications
from app.domain.digest import SHOWN, Digest, FailedTraining
from app.domain.notification import DigestMessage, Owner
from app.flows.daily_digest import DailyDigest
from app.flows.watch import OperatorChat
from app.telegram.catalogs import Catalogs
from app.telegram.names import bare
from app.telegram.wording import word
from tests.fakes import START, FrozenClock

pytestmark = pytest.mark.anyio

CHAT = OperatorChat(7, "ru")


def same(now: datetime) -> datetime:
    return now


def job(number: int, *, outcome: str | None, waited: float, ago: float = 60) -> dict[str, Any]:
    """Spell a job that ended `ago` minutes before START after so many minutes, or that is still open."""
    ended = START - timedelta(minutes=ago)
    is_open = outcome is None
    return {
        "state": "pending" if is_open else "done", "outcome": outcome, "due_at": START, "kind": "training",
        "request_id": f"r{number}", "endpoint_source": "guessed", "finished_at": None if is_open else ended,
        "first_seen_at": (START if is_open else ended) - timedelta(minutes=waited),
    }  # fmt: skip


def failure(number: int, *, chat_id: int | None = 5) -> dict[str, Any]:
    at = START - timedelta(minutes=number)
    return {"state": "sent", "due_at": at, "delivery_id": 1, "avatar_id": f"a{number}", "request_id": f"r{number}",
            "kind": "failed", "cause": "no_face", "avatar_name": f"Айша {number}", "owner_id": "o", "chat_id": chat_id,
            "language": "ru", "received_at": at, "stored_at": at, "applied_at": at, "finished_at": at}  # fmt: skip


def fill(database: Database, jobs_: list[dict[str, Any]], failures: list[dict[str, Any]]) -> None:
    with database.engine.begin() as connection:
        connection.execute(insert(jobs), jobs_)
        if failures:
            connection.execute(insert(notifications), failures)


async def test_a_days_trainings_are_summed_up(database: Database) -> None:
    """Ready and failed of the last day, the median wait of the ready, the oldest that waits, each failure by name."""
    fill(
        database,
        [
            *(job(n, outcome="completed", waited=wait) for n, wait in enumerate([10, 20, 90])),
            job(3, outcome="failed", waited=5),
            job(4, outcome="gone", waited=5),
            job(5, outcome="superseded", waited=5),
            job(6, outcome="failed", waited=5, ago=60 * 25),
            job(7, outcome=None, waited=45),
        ],
        [failure(3), failure(4, chat_id=None)],
    )
    digest = await database.read(sum_up, START)
    assert digest == Digest(
        3,
        2,
        timedelta(minutes=20),
        timedelta(minutes=45),
        (FailedTraining("Айша 3", 5, "no_face"), FailedTraining("Айша 4", None, "no_face")),
    )


async def test_nobody_is_named_whose_training_succeeded_after_all(database: Database) -> None:
    """A success that overruled the failure is no case for a refund; a failure that corrected a "ready" is one."""
    corrected = {**failure(2), "kind": "correction"}
    succeeded = {**failure(1), "kind": "correction", "cause": None}
    fill(
        database,
        [job(1, outcome="completed", waited=5), job(2, outcome="failed", waited=5)],
        [failure(1), succeeded, corrected],
    )
    digest = await database.read(sum_up, START)
    assert (digest.ready, digest.failed) == (1, 1)
    assert digest.failures == (FailedTraining("Айша 2", 5, "no_face"),)


async def test_a_bad_day_names_the_latest_failures(database: Database) -> None:
    """However many failed, the message names fifteen."""
    fill(database, [job(n, outcome="failed", waited=5) for n in range(40)], [failure(n) for n in range(40)])
    digest = await database.read(sum_up, START)
    assert (digest.failed, len(digest.failures), digest.failures[0].avatar) == (40, SHOWN, "Айша 0")


@pytest.mark.parametrize(("hour", "chat", "owed"), [(12, CHAT, 1), (11, CHAT, 0), (None, CHAT, 0), (12, None, 0)])
async def test_it_is_owed_in_its_hour(
    database: Database, clock: FrozenClock, hour: int | None, chat: OperatorChat | None, owed: int
) -> None:
    """Only in DIGEST_HOUR, and only where the operator has a chat."""
    woken: list[str] = []
    digest = DailyDigest(database, clock, chat=chat, hour=hour, local=same, wake_notify=lambda: woken.append("notify"))
    assert await digest() == owed
    assert len(woken) == owed


async def test_two_replicas_and_a_restart_owe_one_a_day(database: Database, clock: FrozenClock) -> None:
    """The day is the row's identity; the next day has its own."""

    def replica() -> DailyDigest:
        return DailyDigest(database, clock, chat=CHAT, hour=12, local=same, wake_notify=lambda: None)

    one, other = replica(), replica()
    assert [await one(), await other(), await one(), await replica()()] == [1, 0, 0, 0]
    clock.move(86400)
    assert [await one(), await other()] == [1, 0]
    with database.engine.connect() as connection:
        days = connection.execute(select(notifications.c.avatar_id).order_by("id")).scalars().all()
    assert days == ["2026-11-22", "2026-11-23"]


def test_its_words() -> None:
    """Figures, waits in minutes or hours, and each failed training with the chat of its owner."""
    digest = Digest(3, 2, timedelta(minutes=20), timedelta(hours=5), (FailedTraining("Айша", 5, "no_face"),))
    message = word(DigestMessage("2026-11-22", digest, Owner("o", 7, "ru")), Catalogs("ru"))
    assert bare(message.plain) == (
        "Итоги за сутки, 2026-11-22\n\nГотово: 3, не удалось: 2.\nОбычное ожидание: 20 мин.\n"
        "Дольше всех сейчас ждут: 5 ч.\n\nНе удалось (аватар · чат владельца · причина), для возвратов:\n"
        "• Айша · 5 · no_face\n… и ещё 1"
    )
