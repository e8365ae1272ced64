"""Claimed notification → Messenger → verdict."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.db.tables import notifications
from app.domain.send_outcome import Down, NoToken, SlowDown, TokenRefused, Uncertain, Unreachable
from tests.factories import Bot
from tests.fakes import START, kinds
from tests.flows.conftest import House, on_sqlite

pytestmark = pytest.mark.anyio


async def owe(house: House, bot: Bot, request_id: str = "r1", chat: str = "42", *, blocked: bool = False) -> str:
    avatar_id = await bot.train(request_id, telegram_id=chat, blocked=blocked)
    await house.deliver(request_id)
    await house.apply()
    return avatar_id


async def test_an_owner_is_told_once(house: House, bot: Bot) -> None:
    """One message, its id recorded; nothing is due afterwards."""
    await owe(house, bot)
    assert await house.tell() == 1
    assert await house.tell() == 0
    assert kinds(house.messenger.sent) == ["ready"]
    [row] = await house.messages()
    assert (row["state"], row["message_id"]) == ("sent", 1)


async def test_429_comes_back_at_the_asked_second(house: House, bot: Bot) -> None:
    """The same message is sent after exactly the wait that Telegram asked for (fault 42)."""
    await owe(house, bot)
    house.messenger.outcomes = [SlowDown(30)]
    await house.tell()
    house.clock.move(29)
    assert await house.tell() == 0
    house.clock.move(1)
    assert await house.tell() == 1
    [row] = await house.messages()
    assert (row["state"], row["failures"]) == ("sent", 0)


async def test_429_rests_the_chat_and_nobody_else(house: House, bot: Bot) -> None:
    """Another message to the paused chat waits; other chats go on."""
    await owe(house, bot, "r1", "42")
    house.messenger.outcomes = [SlowDown(30)]
    await house.tell()
    await owe(house, bot, "r3", "43")
    assert await house.tell() == 1
    assert house.messenger.sent[-1].owner.chat_id == 43


async def test_a_blocked_bot_is_remembered_and_forgotten(house: House, bot: Bot) -> None:
    """403 sets users.is_blocked; a later success takes it back."""
    avatar_id = await owe(house, bot)
    house.messenger.outcomes = [Unreachable("bot was blocked by the user", blocked=True)]
    await house.tell()
    assert (await bot.avatar(avatar_id))["is_blocked"]
    [row] = await house.messages()
    assert (row["state"], row["reason"]) == ("dead", "owner_unreachable")


async def test_a_success_takes_blocked_back(house: House, bot: Bot) -> None:
    """Who can be told has not blocked the bot, whatever the row said."""
    avatar_id = await owe(house, bot, blocked=True)
    await house.tell()
    assert not (await bot.avatar(avatar_id))["is_blocked"]


async def test_a_day_without_telegram_costs_no_message(house: House, bot: Bot) -> None:
    """Telegram's trouble costs tries, not the message: it goes out when Telegram is back (fault 43)."""
    await owe(house, bot)
    house.messenger.outcomes = [Down("502")] * 24
    for _ in range(24):
        assert await house.tell() == 1
        house.clock.move(3600)
    await house.tell()
    [row] = await house.messages()
    assert (row["state"], row["failures"]) == ("sent", 24)


async def test_one_finds_out_for_all_that_telegram_is_down(house: House, bot: Bot) -> None:
    """While Telegram is down the others wait instead of failing one by one, and keep their order (fault 43)."""
    await owe(house, bot, "r1", "142")
    for _ in range(3):
        house.clock.move(20)
        house.messenger.outcomes = [Down("502")]
        await house.tell()
    for number in range(2, 5):
        await owe(house, bot, f"r{number}", str(200 + number))
    house.messenger.sent.clear()
    assert await house.tell() == 0
    for _ in range(3):
        house.clock.move(15)
        await house.tell()
    assert [one.request_id for one in house.messenger.sent if one.request_id != "r1"] == ["r2", "r3", "r4"]
    assert len(house.messenger.sent) == 4


@on_sqlite
async def test_two_days_without_telegram_end_with_the_operator(house: House, bot: Bot) -> None:
    """What nobody could be told for two days, however often it was tried, is buried where it can be redriven."""
    await owe(house, bot)
    house.messenger.outcomes = [Down("502")] * 500
    for _ in range(500):
        await house.tell()
        house.clock.move(1200)
        [row] = await house.messages()
        if row["state"] != "pending":
            break
    assert (row["state"], row["reason"]) == ("dead", "telegram_down")
    assert house.clock.at - START >= timedelta(hours=48)


async def test_an_unknown_outcome_is_repeated_once(house: House, bot: Bot) -> None:
    """A read timeout may have delivered: one more try, then it is left to the operator, counted."""
    await owe(house, bot)
    house.messenger.outcomes = [Uncertain("timeout")] * 5
    for _ in range(4):
        await house.tell()
        house.clock.move(60)
    [row] = await house.messages()
    assert (row["state"], row["reason"], row["uncertain"]) == ("dead", "outcome_unknown", 2)
    assert len(house.messenger.sent) == 2


async def test_a_refused_token_stops_everybody(house: House, bot: Bot) -> None:
    """After a 401 nothing is sent to anyone for a while, and nothing is lost."""
    await owe(house, bot, "r1", "42")
    house.messenger.outcomes = [TokenRefused("Unauthorized")]
    await house.tell()
    await owe(house, bot, "r2", "43")
    assert await house.tell() == 0
    house.clock.move(61)
    assert await house.tell() == 2


async def test_without_a_token_messages_stay_not_sent(house: House, bot: Bot) -> None:
    """The state says so, and nothing is retried in vain."""
    await owe(house, bot)
    house.messenger.outcomes = [NoToken("text")]
    await house.tell()
    [row] = await house.messages()
    assert row["state"] == "unsent"


async def test_our_bug_costs_one_message_only(house: House, bot: Bot) -> None:
    """A messenger that breaks on one message goes on with the next."""
    await owe(house, bot, "r1", "42")
    await owe(house, bot, "r2", "43")
    house.messenger.outcomes = [ZeroDivisionError()]
    await house.tell()
    assert sorted(row["state"] for row in await house.messages()) == ["pending", "sent"]


async def test_the_bots_budget_spaces_messages(house: House, bot: Bot) -> None:
    """At 25 a second the slots are 40 ms apart."""
    for number in range(5):
        await owe(house, bot, f"r{number}", str(100 + number))
    await house.tell()
    assert len(house.messenger.sent) == 5
    assert (house.clock.at - START).total_seconds() >= 0.16


async def test_a_chat_gets_one_message_a_second(house: House, bot: Bot) -> None:
    """Two messages to one chat are not sent in the same second, two chats need not wait for each other."""
    await owe(house, bot, "r1", "42")
    await owe(house, bot, "r2", "43")
    with house.database.engine.begin() as transaction:
        transaction.execute(update(notifications).values(chat_id=42))
    assert await house.tell() == 1
    assert await house.tell() == 0
    house.clock.move(1)
    assert await house.tell() == 1
