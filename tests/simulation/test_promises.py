"""Where a promise makes an exception, the exception is no wider than its reason."""

import asyncio
import random

import pytest
from yarl import URL

from tests.simulation import course as courses
from tests.simulation.ends import Ends
from tests.simulation.fal import API_KEY, Fal
from tests.simulation.ledger import Ledger
from tests.simulation.network import Network
from tests.simulation.virtual_loop import OWNER
from tests.simulation.weather import SETTLE, Trouble, Weather

ORDER = "https://rest.fal.ai/storage/upload/initiate"
STATE = "https://queue.fal.run/fal-ai/trainer/requests/1/status"


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


class Living:
    """A process that is well."""

    def must_live(self) -> None:
        """It does."""

    def freeze_at(self, part: str) -> None:
        """Go on."""


@pytest.mark.parametrize(
    ("method", "url", "mode", "is_proven"),
    [
        ("POST", ORDER, None, True),
        ("POST", ORDER, "locked", False),
        ("POST", ORDER, "orders locked", False),
        ("GET", STATE, "orders locked", False),
        ("GET", STATE, None, False),
    ],
)
def test_an_order_that_fal_took_proves_the_account(method: str, url: str, mode: str | None, *, is_proven: bool) -> None:
    """Where the account is locked, an address to upload to is refused; how a request stands may be told."""

    async def ask() -> bool:
        loop = asyncio.get_running_loop()
        weather, fal = Weather(loop.time, random.Random(1)), Fal(lambda: 0.0, 1)
        network = Network(weather, random.Random(1), Ledger(loop.time), str)
        network.places = [("rest.fal.ai/storage/", "storage", fal.storage), ("queue.fal.run/", "queue", fal.queue)]
        if mode is not None:
            weather.begin(*(Trouble(part, mode) for part in ("queue", "storage")))
        OWNER.set(Living())  # type: ignore[arg-type]  # as much of a process as is asked
        headers = {"Authorization": f"Key {API_KEY}"}
        reply = await network.exchange(method, URL(url), headers, b'{"file_name": "account.txt"}')
        assert reply.status == (403 if mode is not None and method == "POST" else 200 if method == "POST" else 404)
        return network.took_at >= 0

    assert asyncio.run(ask()) is is_proven
