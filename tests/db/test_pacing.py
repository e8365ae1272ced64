"""Telegram's budget: one row per bucket, shared by replicas and kept over restarts."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.db import pacing
from app.db.engine import Database, open_database
from app.db.tables import slots
from tests.fakes import START

pytestmark = pytest.mark.anyio

HORIZON = timedelta(seconds=2)
Slots = dict[int, float]


async def take(database: Database, chats: Sequence[int], seconds: float = 0, rate: float = 10) -> tuple[Slots, Slots]:
    """Take slots; moments are seconds after START."""
    granted, put_back = await database.write(
        pacing.take_slots, chats, now=START + timedelta(seconds=seconds), horizon=HORIZON, rate=rate
    )
    return (
        {position: (at - START).total_seconds() for position, at in granted.items()},
        {position: (at - START).total_seconds() for position, at in put_back.items()},
    )


async def pause(database: Database, chat: int | None, seconds: float, *, asked: bool = False) -> None:
    with database.engine.begin() as transaction:
        pacing.pause(transaction, chat, START + timedelta(seconds=seconds), asked=asked)


async def test_slots_are_evenly_spaced(database: Database) -> None:
    """At ten a second each is a tenth of a second after the one before, over several takes."""
    assert await take(database, [1, 2]) == ({0: 0, 1: 0.1}, {})
    assert await take(database, [3, 4]) == ({0: 0.2, 1: 0.3}, {})


async def test_idleness_saves_up_no_burst(database: Database) -> None:
    """After a quiet hour the next ones are spaced as ever."""
    await take(database, [1])
    assert await take(database, [2, 3], seconds=3600) == ({0: 3600, 1: 3600.1}, {})


async def test_a_chat_rests_a_second(database: Database) -> None:
    """The second message to a chat comes back a second after the first; another chat does not wait."""
    assert await take(database, [1, 1, 2]) == ({0: 0, 2: 0.1}, {1: 1})


async def test_a_held_back_message_uses_up_nothing(database: Database) -> None:
    """Only what is granted costs budget."""
    await take(database, [1, 1, 1, 1])
    assert await take(database, [2]) == ({0: 0.1}, {})


async def test_no_slot_is_handed_out_beyond_the_horizon(database: Database) -> None:
    """What must wait longer asks again when its turn comes."""
    assert await take(database, [1, 2, 3, 4], rate=1) == ({0: 0, 1: 1, 2: 2}, {3: 3})


async def test_a_paused_chat_waits_alone(database: Database) -> None:
    """Its slot lies at the end of the pause, others go on."""
    await pause(database, 1, 30)
    assert await take(database, [1, 2]) == ({1: 0}, {0: 30})
    assert await take(database, [1], seconds=30) == ({0: 30}, {})


async def test_a_paused_bot_grants_nothing(database: Database) -> None:
    """Nobody gets a slot before the pause ends."""
    await pause(database, None, 30)
    assert await take(database, [1, 2]) == ({}, {0: 30, 1: 30})


async def test_a_shorter_pause_does_not_end_a_longer_one(database: Database) -> None:
    """A 429 of one second does not overrule one of an hour."""
    for chat in (1, None):
        await pause(database, chat, 3600, asked=True)
        await pause(database, chat, 1, asked=True)
        await pause(database, chat, 15)
    assert await take(database, [1]) == ({}, {0: 3600})


@pytest.mark.parametrize("rate", [10, 0])
@pytest.mark.parametrize("ahead", [66, 10_800, 10**8])
async def test_a_clock_put_back_leaves_no_slot_in_the_future(database: Database, ahead: int, rate: float) -> None:
    """What was handed out while the clock stood ahead holds back neither chat nor bot once it is right (fault 15)."""
    await take(database, [1, 2, 3], seconds=ahead + 3, rate=rate)
    assert await free(database, 25) == 50
    granted, put_back = await take(database, [1, 2], rate=rate)
    assert (granted[0], put_back) == (0, {})


@pytest.mark.parametrize("chat", [1, None])
async def test_a_clock_put_back_ends_a_rest_of_our_own(database: Database, chat: int | None) -> None:
    """Telegram was down, or the token refused, while the clock stood ahead; the next rest holds again (fault 15)."""
    await pause(database, chat, 10_800 + 15)
    assert await take(database, [1], rate=0) == ({0: 0}, {})
    await pause(database, chat, 15)
    assert await take(database, [1], rate=0) == ({}, {0: 15})


@pytest.mark.parametrize("chat", [1, None])
async def test_a_wait_that_telegram_asked_for_is_kept_for_a_day(database: Database, chat: int | None) -> None:
    """As long as Telegram can have meant it; what lies further ahead is a clock's (faults 15 and 42)."""
    await pause(database, chat, 86_400, asked=True)
    assert await take(database, [1], rate=0) == ({}, {0: 86_400})
    assert await take(database, [1], rate=0, seconds=-6) == ({0: -6}, {})


async def test_a_rest_holds_on_a_replica_whose_clock_is_behind(database: Database) -> None:
    """A minute for a refused token is a minute and a little by a slower clock, and still believed."""
    await pause(database, None, 60)
    assert await take(database, [1], rate=0, seconds=-3) == ({}, {0: 60})


async def free(database: Database, rate: float) -> int:
    with database.engine.begin() as transaction:
        return pacing.free_slots(transaction, now=START, horizon=timedelta(seconds=2), rate=rate)


async def test_free_slots_are_those_within_the_horizon(database: Database) -> None:
    """Two seconds at 25 a second are fifty slots, less those that were handed out."""
    assert await free(database, 25) == 50
    await take(database, [1, 2, 3], rate=25)
    assert await free(database, 25) == 47


async def test_a_resting_bot_has_no_free_slot(database: Database) -> None:
    """A pause beyond the horizon leaves nothing to claim for, with or without a rate."""
    await pause(database, None, 30)
    assert (await free(database, 25), await free(database, 0)) == (0, 0)


async def test_without_a_rate_slots_do_not_run_out(database: Database) -> None:
    """Rate 0 is unpaced."""
    assert await free(database, 0) == pacing.UNPACED


async def test_without_a_rate_nothing_is_spaced_or_stored(database: Database) -> None:
    """Rate 0 is unpaced, for a Bot API of one's own."""
    assert await take(database, [1, 1, 2], rate=0) == ({0: 0, 1: 0, 2: 0}, {})
    with database.engine.connect() as connection:
        assert (connection.execute(select(func.count()).select_from(slots))).scalar_one() == 0


async def test_a_pause_holds_without_a_rate_as_well(database: Database) -> None:
    """What Telegram asked for is kept whatever the budget."""
    await pause(database, 1, 30)
    assert await take(database, [1, 2], rate=0) == ({1: 0}, {0: 30})


async def test_the_budget_survives_a_restart(database: Database, database_url: str) -> None:
    """A new process goes on where the last one stopped, pauses included."""
    await take(database, [1])
    await pause(database, 2, 30)
    await database.close()
    restarted = open_database(database_url)
    try:
        assert await take(restarted, [2, 3]) == ({1: 0.1}, {0: 30})
    finally:
        await restarted.close()


async def test_two_replicas_share_one_budget(database: Database, replica: Database) -> None:
    """Takes made at the same moment never hand out one slot twice, nor two to one chat."""
    await take(database, [99])
    results = await asyncio.gather(*(take(side, [1, chat]) for chat, side in ((2, database), (3, replica))))
    granted = sorted(at for granted, _ in results for at in granted.values())
    assert granted == [0.1, 0.2, 0.3]
    assert [put_back for _, put_back in results if put_back] == [{0: pytest.approx(1.1, abs=0.11)}]


async def test_the_very_first_slots_are_shared_too(database: Database, replica: Database) -> None:
    """Two replicas that start on an empty table take turns as well."""
    for side in (database, replica):  # both are connected, so that both take at the same moment
        await side.write(lambda connection: connection.execute(select(slots)).close())
    results = await asyncio.gather(take(database, [1]), take(replica, [2]))
    assert sorted(granted[0] for granted, _ in results) == [0, 0.1]
