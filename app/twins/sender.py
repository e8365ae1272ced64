"""fal's webhook sender: signed, retried and re-signed as observed and documented in docs/fal.md."""

import asyncio
import hashlib
import ipaddress
import itertools
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import aiohttp
from yarl import URL

from app.http_client.connectors import DirectConnector
from app.http_client.failures import BROKEN, HttpFailed, failure_of
from app.twins.forgeries import Forgery, forge
from app.twins.signing import ACCOUNT, FalKey, sign

OBSERVED_GAPS: Final = (2.0, 39.0, 75.0, 55.0, 190.0, 340.0)  # seconds, captured July 2026
GROWTH: Final = 1.5  # beyond what was observed; "increasing backoff" is all that is documented
MAX_RETRIES: Final = 31
WINDOW: Final = 3600.0  # seconds during which fal keeps the result and therefore retries
LARGE_WINDOW: Final = 360.0
LARGE_BYTES: Final = 10 * 1024
FIRST_TIMEOUT: Final = 15.0  # seconds
RETRY_TIMEOUT: Final = 120.0
FIXED_HEADERS: Final = {"Accept": "*/*", "Accept-Encoding": "gzip", "Content-Type": "application/json"}
RETRY_USER_AGENT: Final = "python-httpx/0.27.0"


def retry_gaps(body_length: int) -> tuple[float, ...]:
    """Return the seconds between attempts, the first entry being the gap before the first retry.

    They add up to at most an hour, or 6 minutes for a body of 10 KB and more; there are at most 31.
    """
    window = WINDOW if body_length < LARGE_BYTES else LARGE_WINDOW
    gaps = [*OBSERVED_GAPS, *(OBSERVED_GAPS[-1] * GROWTH**number for number in range(1, MAX_RETRIES))]
    fitting = sum(elapsed <= window for elapsed in itertools.accumulate(gaps))
    return tuple(gaps[: min(fitting, MAX_RETRIES)])


Transport = Callable[[Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST. `at` is in Unix seconds; `status` is None where no answer came, and `error` then says why."""

    at: float
    headers: dict[str, str]
    status: int | None
    answer: bytes = b""
    error: str | None = None

    @property
    def final(self) -> bool:
        """Whether fal stops here: 2xx is delivered, 3xx is a permanent failure, all else is retried."""
        return self.status is not None and self.status < 400  # noqa: PLR2004 the border between 3xx and 4xx


@dataclass(slots=True)
class FalDelivery:
    """What was sent under one request id and what came back. `kind` is "delivery" or the forgery's name."""

    request_id: str
    body: bytes
    kind: str = "delivery"
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def statuses(self) -> list[int | None]:
        """The status of each attempt, None where no answer came."""
        return [attempt.status for attempt in self.attempts]

    @property
    def acknowledged(self) -> bool:
        """Whether the receiver answered 2xx, so that fal will never send this again."""
        return any(status is not None and 200 <= status < 300 for status in self.statuses)  # noqa: PLR2004 2xx


class FalSender:
    """Delivers webhooks to one URL; `async with FalSender(url, key) as fal`.

    `speed` divides every wait between attempts (timeouts keep their length, see `first_timeout`); `sleep` and `clock`
    replace time altogether. TLS is verified against `ca_file` (PEM), or not at all with `verify_tls=False`.
    `server_name` is the Host header and TLS name when the URL's own host is only the loopback address.
    `transport` replaces the network: it is given headers and body, returns status and answer, or raises HttpFailed.
    `log` keeps every FalDelivery in order.
    Raises ValueError for a target beyond loopback: the twin never signs for the world.
    """

    def __init__(
        self,
        target: str,
        key: FalKey,
        *,
        user_id: str = ACCOUNT,
        ca_file: Path | None = None,
        verify_tls: bool = True,
        server_name: str | None = None,
        speed: float = 1.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
        first_timeout: float = FIRST_TIMEOUT,
        retry_timeout: float = RETRY_TIMEOUT,
        connections: int = 100,
        transport: Transport | None = None,
    ) -> None:
        """Prepare the client; nothing is sent yet."""
        self._target = URL(target)
        if transport is None and not _is_loopback(self._target.host or ""):
            raise ValueError(f"the fal twin delivers to loopback only, not to {self._target.host}")
        self.key = key
        self.log: list[FalDelivery] = []
        self._user_id = user_id
        self._host = {} if server_name is None else {"Host": server_name}
        self._speed = speed
        self._sleep = sleep
        self._clock = clock
        self._timeouts = (first_timeout, retry_timeout)
        self._transport = self._post if transport is None else transport
        self._connections = connections
        self._tls = _tls(ca_file, verify=verify_tls, needed=self._target.scheme == "https" and transport is None)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Connect to nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def deliver(self, request_id: str, body: bytes) -> FalDelivery:
        """Deliver as fal does: until a 2xx or 3xx, or until the retries are used up. Every attempt is signed afresh.

        Never raises for what the receiver does.
        """
        record = self._record(request_id, body)
        for number, gap in enumerate((0.0, *retry_gaps(len(body)))):
            if gap:
                await self._sleep(gap / self._speed)
            if (await self._attempt(record, number)).final:
                break
        return record

    async def deliver_all(self, jobs: Iterable[tuple[str, bytes]], *, at_once: int = 50) -> list[FalDelivery]:
        """Deliver many `(request_id, body)` pairs, at most `at_once` of them at a time, and return them in order."""
        slots = asyncio.Semaphore(at_once)

        async def one(request_id: str, body: bytes) -> FalDelivery:
            async with slots:
                return await self.deliver(request_id, body)

        return await asyncio.gather(*(one(request_id, body) for request_id, body in jobs))

    async def post(self, request_id: str, body: bytes) -> Attempt:
        """Send one signed first attempt without retries: a duplicate, when the same was sent before."""
        return await self._attempt(self._record(request_id, body), 0)

    async def replay(self, record: FalDelivery) -> Attempt:
        """Send the last attempt of `record` again, byte for byte and with its old timestamp."""
        again = self._record(record.request_id, record.body, "replay")
        return await self._send(again, record.attempts[-1].headers, self._timeouts[0])

    async def forged(self, forgery: Forgery, request_id: str, body: bytes) -> Attempt:
        """Send one delivery that must be refused."""
        now = int(self._clock())
        headers, sent = forge(forgery, self.key, request_id=request_id, user_id=self._user_id, timestamp=now, body=body)
        return await self._send(self._record(request_id, sent, forgery), headers, self._timeouts[0])

    def _record(self, request_id: str, body: bytes, kind: str = "delivery") -> FalDelivery:
        record = FalDelivery(request_id, body, kind)
        self.log.append(record)
        return record

    async def _attempt(self, record: FalDelivery, number: int) -> Attempt:
        headers = sign(self.key, record.request_id, self._user_id, int(self._clock()), record.body)
        if number:
            headers |= _retry_headers(record.request_id, number)
        return await self._send(record, headers, self._timeouts[min(number, 1)])

    async def _send(self, record: FalDelivery, headers: dict[str, str], deadline: float) -> Attempt:
        at = self._clock()
        try:
            async with asyncio.timeout(deadline):
                status, answer = await self._transport({**self._host, **FIXED_HEADERS, **headers}, record.body)
        except TimeoutError:
            attempt = Attempt(at, headers, None, error=f"no answer within {deadline:g} s")
        except HttpFailed as failed:
            attempt = Attempt(at, headers, None, error=failed.why)
        else:
            attempt = Attempt(at, headers, status, answer)
        record.attempts.append(attempt)
        return attempt

    async def _post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=DirectConnector(ssl=self._tls, limit=self._connections),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(),  # each attempt has its own deadline
                skip_auto_headers=["User-Agent"],  # fal's first attempt has none
            )
        name = self._host.get("Host")
        try:
            async with self._session.post(
                self._target, data=body, headers=headers, allow_redirects=False, server_hostname=name
            ) as response:
                return response.status, await response.read()
        except BROKEN as error:
            raise failure_of(error) from None


def _retry_headers(request_id: str, number: int) -> dict[str, str]:
    trace = hashlib.sha256(f"{request_id} {number}".encode()).hexdigest()
    return {
        "User-Agent": RETRY_USER_AGENT,
        "traceparent": f"00-{trace[:32]}-{trace[32:48]}-01",
        "tracestate": f"dd=p:{trace[32:48]};s:1",
        "x-datadog-trace-id": str(int(trace[16:32], 16)),
        "x-datadog-parent-id": str(int(trace[32:48], 16)),
        "x-datadog-sampling-priority": "1",
    }


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _tls(ca_file: Path | None, *, verify: bool, needed: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_file is not None:
        context.load_verify_locations(ca_file)
    elif needed:
        context.load_default_certs()
    return context
