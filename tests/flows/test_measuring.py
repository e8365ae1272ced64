"""What flows count of what they do."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.db import figures, inbox
from app.db.inbox import Receipt
from app.db.operator_queries import Queue
from app.domain.job import JobKind
from app.domain.look import Trouble, Unsaid
from app.domain.measures import Measures
from app.domain.notification import Owner, OwnerMessage, Topic
from app.domain.send_outcome import SendOutcome, SlowDown, Uncertain
from app.fal.payload import FalAnswer
from app.flows.measuring import SEND_OUTCOMES, count_asked, count_stored
from app.flows.operate import Operation, operate
from app.flows.tell import Tell
from tests.factories import Bot, delivery
from tests.fakes import START, FakeMessenger, FrozenClock
from tests.flows.conftest import House
from tests.job_facts import add_job

pytestmark = pytest.mark.anyio

NOTE = OwnerMessage("a1", "Айша", "r1", Topic.READY, Owner("o1", 42, "ru"))


def applied(house: House) -> Measures:
    return house.apply.measures


async def test_a_training_is_measured_from_its_first_look_to_its_owner(house: House, bot: Bot) -> None:
    """Applied after 2 s, told after 5 s, at work for 600 s: each figure stands in its histogram."""
    await bot.train("r1")
    add_job(house.database, "r1", stage="at_work", at_work_since=house.clock.at - timedelta(seconds=600))
    await house.deliver("r1")
    house.clock.move(2)
    await house.apply()
    house.clock.move(3)
    await house.tell()
    measures = applied(house)
    assert measures.applied == {("training", "completed"): 1}
    assert (measures.to_applied.total, sum(measures.to_applied.counts)) == (2, 1)
    assert [histogram.total for name, histogram in measures.training.items() if name != "style"] == [600, 0]
    assert house.notify._recorder.measures.to_told.total == 5


async def test_a_training_whose_beginning_nobody_saw_has_no_duration(house: House, bot: Bot) -> None:
    """A job that is not on record is applied and counted; how long it took is not made up."""
    await bot.train("r1")
    await house.deliver("r1")
    await house.apply()
    measures = applied(house)
    assert measures.applied == {("training", "completed"): 1}
    assert [sum(histogram.counts) for histogram in measures.training.values()] == [0, 0, 0]


async def test_waiting_is_counted_as_postponed_and_not_as_applied(house: House) -> None:
    """An orphan is a try without an end: it has no place in the histogram of ends."""
    await house.deliver("r1")
    await house.apply()
    measures = applied(house)
    assert measures.applied == {("training", "postponed"): 1}
    assert sum(measures.to_applied.counts) == 0


def test_what_try_sends_is_not_counted_as_received() -> None:
    """A delivery of the kind `test` is in no figure but the size of its commit."""
    measures = Measures()
    real, trial = delivery("r1"), delivery("r2")._replace(kind=JobKind.TEST)
    receipts = [Receipt(1, new=True), Receipt(2, new=True)]
    count_stored(measures, [(real, START), (trial, START)], receipts, START + timedelta(seconds=1))
    assert measures.received == {"stored": 1}
    assert (measures.accept.total, measures.commit_rows.total) == (1, 2)


async def test_tries_to_send_are_counted_by_topic_and_outcome() -> None:
    """Whatever Telegram said; a message of `try` is left out. Lines of progress: `test_progress.py`."""
    messenger = FakeMessenger([Uncertain("closed"), SlowDown(3)])
    tell = Tell(messenger, messenger.word, FrozenClock(), Measures())
    await tell(NOTE)
    await tell(replace(NOTE, topic=Topic.TEST))
    await tell(replace(NOTE, owner=Owner("o1", None, "ru")))
    assert tell.measures.sends == {("ready", "uncertain"): 1, ("ready", "unreachable"): 1}


def test_every_outcome_of_a_send_has_its_word() -> None:
    """A new class among the outcomes must be given a word here, or counting it would fail."""
    assert {kind.__name__ for kind in SendOutcome.__args__} == set(SEND_OUTCOMES)


def test_questions_to_fal_are_counted_by_their_answer() -> None:
    """The class of the status, or why there was none; without a key nothing was asked."""
    measures = Measures()
    count_asked(measures, "status", FalAnswer(202, {}, b"{}"))
    count_asked(measures, "result", FalAnswer(404, {}, b""))
    count_asked(measures, "logs", Unsaid(Trouble.FAL_DOWN, ""))
    count_asked(measures, "listed", Unsaid(Trouble.NO_FAL_KEY, ""))
    assert measures.asked == {("status", "2xx"): 1, ("result", "4xx"): 1, ("logs", "fal_down"): 1}


async def test_what_an_operator_does_is_counted_with_the_rows(house: House) -> None:
    """Rows that were changed, by operation and by what was used, in the commit that changes them."""
    await house.deliver("r1")
    await house.deliver("r2")
    for via in ("cli", "dashboard"):
        await operate(house.database, house.clock, Queue.DELIVERIES, Operation.IGNORE, ids=[1, 2], who="x", via=via)
    await operate(house.database, house.clock, Queue.DELIVERIES, Operation.REDRIVE, ids=[1], who="x", via="dashboard")
    seen = await house.database.read(figures.read, house.clock.at)
    assert seen.done == {"operated.ignore.cli": 2, "operated.redrive.dashboard": 1}


async def test_the_figures_are_those_of_the_rows(house: House, bot: Bot) -> None:
    """Queues by state, open jobs by kind and stage, moments as moments, on both databases."""
    await bot.train("r1")
    await house.deliver("r1")
    add_job(house.database, "j1", stage="queued", due_at=house.clock.at + timedelta(seconds=30))
    add_job(house.database, "j2", stage=None, kind="training")
    seen = await house.database.read(figures.read, house.clock.at)
    assert seen.deliveries == {"pending": 1, "done": 0, "dead": 0, "ignored": 0}
    assert {labels: rows for labels, rows in seen.jobs.items() if rows} == {
        ("training", "queued"): 1,
        ("training", "new"): 1,
    }
    assert seen.oldest_pending == {"deliveries": house.clock.at, "notifications": None, "jobs": START}
    assert (seen.alerts, seen.chores, seen.done) == ({"warn": 0, "critical": 0}, {}, {})
    await house.apply()
    seen = await house.database.read(figures.read, house.clock.at)
    assert (seen.deliveries["done"], seen.notifications["pending"]) == (1, 1)
    assert seen.oldest_pending["notifications"] == house.clock.at


async def test_a_repeat_is_counted_as_one(house: House) -> None:
    """The same bytes a second time are `repeated`."""
    measures = Measures()
    group = [(delivery("r1"), START)]
    for _ in range(2):
        receipts = await house.database.write(inbox.put, group)
        count_stored(measures, group, receipts, START)
    assert measures.received == {"stored": 1, "repeated": 1}
