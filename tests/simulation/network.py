"""The way to the outside: one exchange of a request for an answer, with what may happen to either."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import aiohttp
import orjson
from multidict import CIMultiDict
from starlette.responses import Response
from yarl import URL

from app.http_client.failures import HttpFailed
from app.twins.fal_queue import UNFINISHED
from tests.simulation.ledger import Ledger
from tests.simulation.virtual_loop import OWNER
from tests.simulation.weather import Weather

USUAL = 0.04  # s that either way takes, on average
LOSES = 0.08  # of the submissions to fal end badly on any day
SLOW = 0.03  # of Telegram's answers take seconds on any day
EVER = 100_000.0  # s; whoever waits gives up long before


class Reply(NamedTuple):
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


Answer = Callable[[str, URL, Mapping[str, str], bytes], Response]


class Network:
    """Knows who answers where. `places` are (a beginning of the address without its scheme, the part, who answers)."""

    def __init__(self, weather: Weather, chance: random.Random, ledger: Ledger, date: Callable[[], str]) -> None:
        self._weather = weather
        self._chance = chance
        self._ledger = ledger
        self._date = date
        self.places: list[tuple[str, str, Answer]] = []
        self.asked: dict[str, int] = {}
        self.took_at = -1.0  # when fal last took an order for the account: a training, an upload
        self.on_gone: Callable[[str], None] = lambda _: None  # hears which request fal says it has not

    async def exchange(self, method: str, url: URL, headers: Mapping[str, str], body: Any) -> Reply:
        """Ask whoever answers at this address. Raises what aiohttp would, or HttpFailed for what never left."""
        owner: Any = OWNER.get()
        owner.must_live()
        part, answer = self._find(url)
        mode = self._mode(method, part, url)
        self.asked[part] = self.asked.get(part, 0) + 1
        await asyncio.sleep(self._chance.expovariate(1 / USUAL))
        owner.must_live()
        match mode:
            case "refused":
                raise HttpFailed("ConnectError")
            case "hung":
                await asyncio.sleep(EVER)
            case "slow":
                await asyncio.sleep(self._chance.uniform(1, 9))
                owner.must_live()
            case "reset":
                raise ConnectionResetError
        if mode in (None, "slow", "answer lost", "answer late"):
            given = answer(method, url, headers, body or b"")
        else:
            if mode == "gone":
                self.on_gone(url.path.rpartition("/requests/")[2])
            status, said = TROUBLES[mode or ""]
            given = Response(said, status)
        self._ledger.note(str(owner), f"asks {method} {part} {_shown(url)} {given.status_code} {mode or ''}")
        owner.freeze_at(part)
        match mode:
            case "answer lost":
                raise aiohttp.ServerDisconnectedError
            case "answer late":
                await asyncio.sleep(EVER)
        await asyncio.sleep(self._chance.expovariate(1 / USUAL))
        owner.must_live()
        if method == "POST" and part in ("queue", "storage") and given.status_code < 300:
            self.took_at = asyncio.get_running_loop().time()
        answered: CIMultiDict[str] = CIMultiDict(given.headers)
        answered["Date"] = self._date()
        return Reply(given.status_code, answered, bytes(given.body))

    def _mode(self, method: str, part: str, url: URL) -> str | None:
        mode = self._weather.of(part)
        if mode == "orders locked":  # a locked account may be told how its requests stand
            mode = "locked" if method == "POST" else None
        if mode is not None:
            return mode
        if part == "queue" and method == "GET" and not url.path.endswith("/status"):
            return self._weather.of("results")
        if part == "queue" and method == "POST" and self._chance.random() < LOSES:
            return self._chance.choice(("answer lost", "answer late", "500", "429"))
        return "slow" if part == "telegram" and self._chance.random() < SLOW else None

    def _find(self, url: URL) -> tuple[str, Answer]:
        address = f"{url.host}{url.path}"
        for beginning, part, answer in self.places:
            if address.startswith(beginning):
                return part, answer
        raise HttpFailed("ConnectError")


def _shown(url: URL) -> str:
    """Show the end of an address; the token stands before it."""
    return url.path.rsplit("/", 3)[-1] if "/bot" in url.path else url.path


TROUBLES: dict[str, tuple[int, bytes]] = {
    "locked": (403, b'{"detail": "User is locked. Reason: Exhausted balance."}'),
    "key refused": (401, b'{"detail": "invalid key credentials"}'),
    "429": (429, b'{"error": {"type": "rate_limited", "message": "Too many requests"}}'),
    "telegram 429": (
        429,
        b'{"ok": false, "error_code": 429, "description": "retry after 35", "parameters": {"retry_after": 35}}',
    ),
    "telegram 401": (401, b'{"ok": false, "error_code": 401, "description": "Unauthorized"}'),
    "not yet": (400, orjson.dumps({"detail": UNFINISHED})),
    "gone": (404, b'{"detail": "Request not found"}'),
    "junk": (200, b'{"status": 7, "keys": "none"}'),
    "html": (502, b"<html>Bad Gateway</html>"),
    "500": (500, b'{"detail": "Internal Server Error"}'),
}
