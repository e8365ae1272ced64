"""Where a promise makes an exception, the exception is no wider than its reason."""

import asyncio
import random

import pytest

from tests.simulation import course as courses
from tests.simulation.ends import Ends
from tests.simulation.ledger import Ledger
from tests.simulation.network import Network
from tests.simulation.weather import Weather


def test_nothing_is_unheard_of_that_came_through() -> None:
    """`why` may say that it never heard of a request only where no webhook, registration or row told the server."""
    course = courses.draw(1, 0.0, random.Random(1), [])
    nothing, one = Ends(lambda *_: []), Ends(lambda *_: [("a row",)])
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
