"""fal's webhooks: signed, lost, repeated, out of order, and forged ones among them."""

import asyncio
import random
from collections.abc import Callable, Sequence

from app.twins.forgeries import Forgery, forge
from app.twins.sender import FIRST_TIMEOUT, RETRY_TIMEOUT, retry_gaps
from app.twins.signing import ACCOUNT, FalKey, sign
from tests.simulation.course import Course, Saying, digest, until
from tests.simulation.fal import ADDRESSES, Fal
from tests.simulation.ledger import Ledger
from tests.simulation.server import Broken, Refused, Server
from tests.simulation.settings import PROXY
from tests.simulation.weather import Weather

PATH = "/api/v1/avatar/status_update?training_type=portrait"
TRACED = 0.2  # of the first deliveries carry a trace as the repeats do
WRONG_KEY = FalKey(bytes([7]) * 32)
JSON = {"Content-Type": "application/json", "Accept": "*/*"}

SIGNED_BY_FAL = (Forgery.MISMATCHED_ID, Forgery.STALE_CLOCK, Forgery.FUTURE_CLOCK)


class Sender:
    """Sends what fal says. `on_answer` hears of every answer: course, digest, status, seconds."""

    def __init__(
        self, fal: Fal, servers: Sequence[Server], weather: Weather, chance: random.Random, ledger: Ledger
    ) -> None:
        self._fal = fal
        self._servers = servers
        self._weather = weather
        self._chance = chance
        self._ledger = ledger
        self.on_answer: Callable[[Course, str, int, float], None] = lambda *_: None
        self.on_forged: Callable[[str, int], None] = lambda *_: None
        self.is_behind = False  # a proxy
        self.posts = 0

    async def say(self, course: Course, saying: Saying, chance: random.Random) -> None:
        """Deliver one saying as fal does: until it is taken, or its result expires."""
        await until(course.ends + saying.at)
        if chance.random() < 0.04 or self._weather.of("webhooks") == "lost":
            self._ledger.note("fal", f"loses the webhook of {course.number}")
            return
        body = saying.body
        course.signed[digest(body)] = body
        first = FIRST_TIMEOUT
        await asyncio.sleep(chance.uniform(0.1, 2))
        for gap in (0.0, *retry_gaps(len(body))):
            await asyncio.sleep(gap)
            if await self._post(course, body, first):
                break
            first = RETRY_TIMEOUT
        else:
            return
        if chance.random() < 0.05:  # at least once, says fal
            await asyncio.sleep(chance.choice((0.0, 0.0, 0.01, 3, 600)))
            await asyncio.gather(self._post(course, body, first), self._post(course, body, first))

    async def _post(self, course: Course, body: bytes, patience: float) -> bool:
        key = self._fal.keys[-1]
        headers = {**JSON, **sign(key, course.request_id, ACCOUNT, int(self._fal.time()), body)}
        if patience == RETRY_TIMEOUT or self._chance.random() < TRACED:
            headers["traceparent"] = f"00-{self._chance.getrandbits(127) + 1:032x}-b7ad6b7169203331-01"
        status = await self._send(headers, body, self._chance.choice(ADDRESSES), patience, course)
        if status is not None and 200 <= status < 300:
            course.acknowledged.add(digest(body))
            return True
        return False

    async def _send(
        self, headers: dict[str, str], body: bytes, address: str, patience: float, course: Course | None
    ) -> int | None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.posts += 1
        server = self._chance.choice(self._servers)
        await asyncio.sleep(self._chance.expovariate(1 / 0.05))
        name = "forgery" if course is None else str(course.number)
        try:
            sent = loop.time()
            path = PATH if course is None else course.webhook
            behind, address = self._behind(address)
            status, _ = await server.ask("POST", path, headers | behind, body, address=address, patience=patience)
        except (Refused, Broken, TimeoutError) as why:
            self._ledger.note("fal", f"posts {name} to {server.name}: {type(why).__name__}")
            if isinstance(why, TimeoutError) and course is not None:
                self.on_answer(course, digest(body), 0, loop.time() - began)
            return None
        self._ledger.note("fal", f"posts {name} to {server.name}: {status}")
        if course is not None:
            self.on_answer(course, digest(body), status, loop.time() - sent)
        if self._chance.random() < 0.01:  # the answer is lost on its way
            return None
        return status

    def _behind(self, address: str) -> tuple[dict[str, str], str]:
        """Put the proxy before an address, where there is one: the headers that it adds, and its own address."""
        if not self.is_behind:
            return {}, address
        hop = self._chance.choice((address, f"{address}:4711", f"[::ffff:{address}]:443", f"spoofed, {address}"))
        return {"X-Forwarded-For": hop}, PROXY

    async def forge(self, course: Course, chance: random.Random) -> None:
        """Post something that fal did not send, or not for us."""
        kind = chance.choice(list(Forgery))
        timestamp, body = int(self._fal.time()), course.sayings[0].body
        if kind is Forgery.WRONG_KEY:
            headers = sign(WRONG_KEY, course.request_id, ACCOUNT, timestamp, body)
        else:
            headers, body = forge(
                kind, self._fal.keys[-1], request_id=course.request_id, user_id=ACCOUNT, timestamp=timestamp, body=body
            )
        if kind in SIGNED_BY_FAL:  # it may be kept, by a server whose clock is wrong or for its own id
            course.signed[digest(body)] = body
        status = await self._send({**JSON, **headers}, body, chance.choice(ADDRESSES), FIRST_TIMEOUT, None)
        if status is not None and kind is not Forgery.MISMATCHED_ID:
            self.on_forged(str(kind), status)
