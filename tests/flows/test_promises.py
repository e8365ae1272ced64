"""What owners were promised is kept, and nothing is said of us that the operator does not know (owners' rules)."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from app.db.operator_queries import Queue
from app.db.tables import deliveries
from app.db.trainings import BotTables
from app.domain.alert_rules import MachineFacts
from app.domain.notification import AlertMessage, DigestMessage
from app.flows.operate import Operation, operate
from app.flows.promises import Promises
from app.flows.watch import OperatorChat, Watch
from tests.factories import Bot, error_body, ok_body
from tests.flows.conftest import House, on_sqlite
from tests.job_facts import add_job

pytestmark = pytest.mark.anyio

WELL = MachineFacts(timedelta(hours=1), None, timedelta(0), True, timedelta(0), 0, None, "")
EXHAUSTED = "User is locked. Reason: Exhausted balance."


class Account:
    """Ours at fal: locked, until somebody says that it works. `asked` counts the questions."""

    works = False
    asked = 0

    async def is_open(self) -> bool:
        self.asked += 1
        return self.works


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def promises(house: House, bot_tables: BotTables, account: Account) -> Promises:
    return Promises(house.database, bot_tables, house.clock, is_open=account.is_open, wake_notify=lambda: None)


def watching(house: House, *, chat: int | None = -7) -> Watch:
    return Watch(
        house.database,
        house.clock,
        lambda: WELL,
        count_invented=lambda _: 0,
        machine="web-1",
        chat=None if chat is None else OperatorChat(chat, "en"),
        wake_notify=lambda: None,
    )


async def minutes(house: House, promises: Promises, watch: Watch | None, count: int = 1) -> None:
    """Let minutes pass in which everything takes its turn."""
    for _ in range(count):
        house.clock.move(60)
        if watch is not None:
            await watch()
        await promises()
        while await house.tell():
            pass


def told(house: House) -> list[str]:
    """What was sent, in its order: the topic, and what it is about."""
    return [
        f"{note.topic} {note.condition if isinstance(note, AlertMessage) else note.cause or ''}".rstrip()
        for note in house.messenger.sent
        if not isinstance(note, DigestMessage)
    ]


async def test_an_owner_hears_of_our_account_after_the_operator(house: House, bot: Bot, promises: Promises) -> None:
    """The failure waits until the alert about the account was really sent, and no longer."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1", EXHAUSTED))
    await house.apply()
    await house.tell()
    await minutes(house, promises, None, 5)
    assert told(house) == []
    await minutes(house, promises, watching(house), 2)
    assert told(house) == ["alert account_locked", "failed our_account"]


@on_sqlite
async def test_without_an_operator_nothing_is_promised(
    house: House, bot: Bot, promises: Promises, account: Account
) -> None:
    """Where nobody can be alerted the owner hears of a failure of ours after half an hour, without the promise."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1", EXHAUSTED))
    await house.apply()
    await minutes(house, promises, watching(house, chat=None), 29)
    assert told(house) == []
    await minutes(house, promises, watching(house, chat=None), 2)
    assert told(house) == ["failed fal_trouble"]
    account.works = True
    await minutes(house, promises, None, 3)
    assert told(house) == ["failed fal_trouble"]
    assert {row["reason"] for row in await house.messages() if row["kind"] == "account_back"} == {"lapsed"}


@on_sqlite
async def test_the_promise_is_kept_when_the_account_works_again(
    house: House, bot: Bot, promises: Promises, account: Account
) -> None:
    """While the account is locked nothing follows; once it works the owner hears it, once, and the alert ends."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1", EXHAUSTED))
    await house.apply()
    watch = watching(house)
    await minutes(house, promises, watch, 120)
    assert told(house) == ["alert account_locked", "failed our_account"]
    account.works = True
    await minutes(house, promises, watch, 10)
    assert told(house) == ["alert account_locked", "failed our_account", "account_back", "resolved account_locked"]


async def test_the_promise_is_kept_when_a_later_training_succeeds(house: House, bot: Bot, promises: Promises) -> None:
    """Without a key nobody can tell; a training that was begun later and succeeded says as much."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1", EXHAUSTED))
    await house.apply()
    await minutes(house, promises, watching(house), 5)
    await bot.train("r2")
    await house.deliver("r2", ok_body("r2"))
    await house.apply()
    await minutes(house, promises, None, 2)
    assert sorted(told(house)[2:]) == ["account_back", "ready"]


@on_sqlite
async def test_a_job_that_goes_on_proves_no_account(
    house: House, bot: Bot, promises: Promises, account: Account
) -> None:
    """A locked account is told how its requests stand as well: it keeps no promise that fal speaks of one."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1", EXHAUSTED))
    await house.apply()
    add_job(house.database, "r2", stage="at_work", said_at=house.clock.at + timedelta(minutes=5))
    await minutes(house, promises, watching(house), 10)
    assert told(house) == ["alert account_locked", "failed our_account"]
    assert account.asked


async def test_the_alert_of_a_refused_submission_ends_when_the_account_works(
    house: House, promises: Promises, account: Account
) -> None:
    """Nothing else may ever be asked of fal; whether it works for us is asked for as long as that alert is open."""
    add_job(house.database, None, state="dead", reason="account_locked", finished_at=house.clock.at, said_at=None)
    watch = watching(house)
    await minutes(house, promises, watch, 5)
    assert told(house) == ["alert account_locked"]
    account.works = True
    await minutes(house, promises, watch, 10)
    assert told(house) == ["alert account_locked", "resolved account_locked"]
    asked = account.asked
    await minutes(house, promises, watch, 5)
    assert account.asked == asked


@pytest.mark.parametrize("change", ["succeeded", "began anew"])
async def test_a_promise_lapses_with_its_failure(
    house: House, bot: Bot, promises: Promises, account: Account, change: str
) -> None:
    """Whoever has the avatar after all, or began anew, is not told that they can."""
    avatar = await bot.train("r1")
    await house.deliver("r1", error_body("r1", EXHAUSTED))
    await house.apply()
    await minutes(house, promises, watching(house), 2)
    if change == "succeeded":
        await house.deliver("r1", ok_body("r1"))
        await house.apply()
    else:
        await bot.write(avatar, fal_request_id="r2", status="training")
    account.works = True
    await minutes(house, promises, None, 3)
    assert "account_back" not in told(house)
    assert not [row for row in await house.messages() if row["state"] == "pending"]


async def test_an_operator_cannot_send_what_is_held(house: House, bot: Bot, promises: Promises) -> None:
    """A redrive leaves what waits for its condition where it is."""
    await bot.train("r1")
    await house.deliver("r1", error_body("r1", EXHAUSTED))
    await house.apply()
    assert await operate(house.database, house.clock, Queue.NOTIFICATIONS, Operation.REDRIVE, ids=[1, 2], who="x") == []
    await house.tell()
    assert told(house) == []


async def test_an_owner_hears_of_trouble_after_the_operator(house: House, bot: Bot, promises: Promises) -> None:
    """A result that only the operator can put right is spoken of after half an hour, once, and not before the alert."""
    await bot.train("r1")
    await house.deliver("r1", b"\x00\xff")
    await house.apply()
    await minutes(house, promises, None, 40)
    assert told(house) == []
    await minutes(house, promises, watching(house), 40)
    assert told(house) == ["alert deliveries_buried", "trouble_ours"]


@on_sqlite
@pytest.mark.parametrize("end", [ok_body, error_body])
async def test_whoever_knows_the_result_hears_of_no_trouble(
    house: House, bot: Bot, promises: Promises, end: Callable[[str], bytes]
) -> None:
    """A buried delivery of a training that has ended otherwise is the operator's alone."""
    await bot.train("r1")
    await house.deliver("r1", b"\x00\xff")
    await house.deliver("r1", end("r1"))
    await house.apply()
    await minutes(house, promises, watching(house), 40)
    assert "trouble_ours" not in told(house)


async def test_a_result_overtakes_the_word_of_trouble(house: House, bot: Bot, promises: Promises) -> None:
    """When the result came before the word of trouble was sent, only the result is told."""
    await bot.train("r1")
    await house.deliver("r1", b"\x00\xff")
    await house.apply()
    watch = watching(house)
    await minutes(house, promises, watch, 29)
    house.clock.move(120)
    await watch()
    await promises()
    await house.deliver("r1", ok_body("r1"))
    await house.apply()
    while await house.tell():
        pass
    assert told(house) == ["alert deliveries_buried", "ready"]


@on_sqlite
async def test_a_result_that_cannot_be_fetched_is_trouble_too(house: House, bot: Bot, promises: Promises) -> None:
    """A refused key keeps a result at fal: the operator hears of it, then its owner."""
    await bot.train("r1")
    await house.deliver("r1")
    with house.database.engine.begin() as transaction:
        hours = house.clock.at + timedelta(hours=1)
        transaction.execute(update(deliveries).values(reason="fal_key_refused", due_at=hours, fal_request_id="r1"))
    await minutes(house, promises, watching(house), 32)
    assert told(house) == ["alert fal_key_refused", "trouble_ours"]
