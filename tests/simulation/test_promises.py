"""Where a promise makes an exception, the exception is no wider than its reason."""

import asyncio
import random

import pytest

from tests.simulation import course as courses
from tests.simulation.ends import Ends
from tests.simulation.ledger import Ledger
from tests.simulation.network import Network
from tests.simulation.weather import SETTLE, Trouble, Weather


def _never_fair(_begin: float, _end: float) -> float:
    return 0.0


def test_a_training_that_the_bot_ended_unseen_is_not_ours() -> None:
    """Nobody is owed a word where the bot itself ended a training while no process could look and no webhook came."""
    course = courses.draw(1, 0.0, random.Random(1), [])
    course.has_row = True
    unseen, seen = Ends(lambda *_: [], _never_fair), Ends(lambda *_: [], lambda *_: 61.0)
    assert unseen.settled(course) == "nothing is owed; []"
    course.is_meddled = True
    assert unseen.settled(course) is None
    assert seen.settled(course) == "nothing is owed; []"
    course.acknowledged.add("a digest")
    assert unseen.settled(course) == "nothing is owed; []"


def test_fair_weather_is_counted_between_two_moments() -> None:
    """It begins a quarter of an hour after the last trouble, and ends with the next one."""
    now = 0.0
    weather = Weather(lambda: now, random.Random(1))
    now = 100.0
    trouble = weather.begin(Trouble("database", "busy"))
    now = 200.0
    weather.end(trouble)
    now = 2000.0
    assert weather.fair_between(0.0, 2000.0) == 100.0 + 2000.0 - 200.0 - SETTLE
    assert weather.fair_between(90.0, 1110.0) == 10.0 + 1110.0 - 200.0 - SETTLE
    assert weather.fair_between(100.0, 1100.0) == 0.0


def test_nothing_is_unheard_of_that_came_through() -> None:
    """`why` may say that it never heard of a request only where no webhook, registration or row told the server."""
    course = courses.draw(1, 0.0, random.Random(1), [])
    nothing, one = Ends(lambda *_: [], _never_fair), Ends(lambda *_: [("a row",)], _never_fair)
    assert nothing.heard(course) is None
    assert one.heard(course) == "a row of the bot's carries it"
    course.is_registered = True
    assert nothing.heard(course) == "the bot registered it"
    course.acknowledged.add("a digest")
    assert nothing.heard(course) == "its webhook was acknowledged"


@pytest.mark.parametrize(
    ("heard", "is_known"),
    [
        ([("GET queue", "locked", 403)], False),
        ([("GET queue", None, 200)], True),
        ([("GET queue", "locked", 403), ("POST queue", None, 200)], False),
        ([("GET queue", "locked", 403), ("GET queue", None, 200)], True),
        ([("GET queue", None, 200), ("GET queue", "locked", 403)], False),
    ],
)
def test_an_account_is_unlocked_when_fal_has_spoken_of_a_job(
    heard: list[tuple[str, str | None, int]], *, is_known: bool
) -> None:
    """The alert of a locked account may stay open only until then."""

    async def listen() -> bool:
        loop = asyncio.get_running_loop()
        weather = Weather(loop.time, random.Random(1))
        network = Network(weather, random.Random(1), Ledger(loop.time), str)
        for asked, mode, status in heard:
            await asyncio.sleep(0.001)
            network._heed(asked, mode, status)
        return network.is_known_to_be_unlocked(loop.time() + 1)

    assert asyncio.run(listen()) is is_known
