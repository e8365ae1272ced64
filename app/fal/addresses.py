"""Where fal's deliveries come from. Defence in depth: the signature is what counts.

Source: fal's `GET /v1/meta`, field `webhook_ip_ranges` (docs/fal.md).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import httpx2
import orjson
import structlog

from app.domain.network import Address, read_address
from app.fal.client import FetchFailed, get_capped, host_of, read_copy, write_copy
from app.fal.skew import Skew

BUILT_IN = (
    "34.123.59.101/32",
    "34.135.41.243/32",
    "35.239.83.87/32",
    "104.198.204.37/32",
    "34.56.20.205/32",
    "34.170.94.127/32",
    "35.224.184.236/32",
    "136.114.56.197/32",
    "34.29.37.237/32",
    "35.225.160.28/32",
    "34.56.205.145/32",
    "34.59.170.72/32",
    "34.10.147.45/32",
    "104.198.64.245/32",
    "34.9.1.255/32",
)
FETCH_SECONDS = 10.0
BRIEFLY = 1.0  # s for a fetch that a delivery waits for
LOOK_SECONDS = 1.5  # that a delivery waits in all; its keys may take another 6 of the 10 that fal is answered in
LOOK_INTERVAL = timedelta(minutes=1)  # between two fetches that deliveries cause; fal repeats for 6 minutes and more
BODY_LIMIT = 256 * 1024  # bytes
RANGE_LIMIT = 1000
WIDEST = {4: 8, 6: 20}  # shortest prefix by IP version; anything wider is a mistake or an attack
REMEMBERED = 4096  # verdicts; an attacker may come from any number of addresses

Network = IPv4Network | IPv6Network

_log = structlog.get_logger(__name__)


def parse_ranges(entries: object) -> tuple[Network, ...]:
    """Read a list of CIDR strings; single junk entries are skipped.

    Empty when the list as a whole cannot be believed: no list, nothing in it, over 1000 entries, a range wider
    than /8 (IPv6: /20).
    """
    if not isinstance(entries, list) or len(entries) > RANGE_LIMIT:
        return ()
    networks: dict[Network, None] = {}
    for entry in entries:
        try:
            network = ip_network(entry, strict=False) if isinstance(entry, str) else None
        except ValueError:
            continue
        if network is None:
            continue
        if network.prefixlen < WIDEST[network.version]:
            return ()
        networks[network] = None
    return tuple(networks)


class Addresses:
    """The ranges deliveries may come from, and how they are renewed.

    `url` is fal's meta endpoint. `fixed` (ALLOWED_IPS), when it holds anything, replaces fal's list for good; an entry
    that is no address raises ValueError. An old list stays in force: it is never a reason to refuse fal.
    Every answer tells fal's time to `skew`, when it is given.
    """

    def __init__(
        self,
        url: str,
        cache_file: Path,
        client: httpx2.AsyncClient,
        clock: Callable[[], datetime],
        fixed: Sequence[str] | None = None,
        *,
        skew: Skew | None = None,
    ) -> None:
        self._skew = skew
        self._url = url
        self._cache_file = cache_file
        self._client = client
        self._clock = clock
        self.is_fixed = bool(fixed)
        self._fetched_at: datetime | None = None
        self._looked_at: datetime | None = None
        self._fetching = asyncio.Lock()
        self._verdicts: dict[str | None, bool] = {}
        self._exact: frozenset[Address] = frozenset()
        self._wide: tuple[Network, ...] = ()
        self._set(ip_network(entry, strict=False) for entry in fixed or BUILT_IN)

    def allows(self, address: str | None) -> bool:
        """Tell whether a peer with this address may deliver. Loopback may; what is no IP address may not."""
        verdict = self._verdicts.get(address)
        if verdict is None:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[address] = self._judge(address)
        return verdict

    def age(self) -> timedelta | None:
        """Tell how long ago the list was fetched; None while it is built-in or fixed. Never negative."""
        return None if self._fetched_at is None else max(self._clock() - self._fetched_at, timedelta(0))

    async def load(self) -> None:
        """Take the list from the disk copy, if it is there and sound."""
        if self.is_fixed:
            return
        try:
            copy = await read_copy(self._cache_file, BODY_LIMIT)
        except (OSError, ValueError) as damage:
            _log.warning("addresses.copy_ignored", why=type(damage).__name__)
            return
        self._take_copy(copy)

    def _take_copy(self, copy: tuple[datetime, bytes] | None) -> None:
        if copy is None:
            return
        fetched_at, body = copy
        networks = _ranges_of(body)
        if not networks:
            _log.warning("addresses.copy_ignored", why="no_usable_list")
            return
        self._set(networks)
        self._fetched_at = fetched_at

    async def refresh(self) -> bool:
        """Fetch the list; tell whether what is held now is as it should be. A failure keeps the last good one."""
        if self.is_fixed:
            return True
        async with self._fetching:
            return await self._fetch(FETCH_SECONDS)

    async def look_again(self, address: str | None) -> bool:
        """Fetch the list because it lacks `address`, at most once a minute whoever asks; tell whether it holds it now.

        Callers during a fetch wait for it, at most 1.5 s. Where ALLOWED_IPS rule, nothing is fetched.
        """
        if self.is_fixed or read_address(address) is None:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS), self._fetching:
                if not self.allows(address) and not self._is_limited():
                    self._looked_at = self._clock()
                    await self._fetch(BRIEFLY)
        return self.allows(address)

    def _is_limited(self) -> bool:
        # A negative difference means that the clock stepped back, not that the last look was just now.
        return self._looked_at is not None and timedelta(0) <= self._clock() - self._looked_at < LOOK_INTERVAL

    async def _fetch(self, seconds: float) -> bool:
        host = host_of(self._url)
        try:
            status, body = await get_capped(
                self._client,
                self._url,
                BODY_LIMIT,
                deadline_seconds=seconds,
                on_headers=None if self._skew is None else self._skew.timing(host),
            )
        except FetchFailed as failure:
            _log.warning("addresses.refresh_failed", host=host, why=failure.why)
            return False
        networks = _ranges_of(body) if status == httpx2.codes.OK else ()
        if not networks:
            why = "no_usable_list" if status == httpx2.codes.OK else "status"
            _log.warning("addresses.refresh_failed", host=host, why=why, status=status)
            return False
        self._set(networks)
        self._fetched_at = self._clock()
        _log.info("addresses.refreshed", host=host, ranges=len(networks))
        try:
            await write_copy(self._cache_file, self._fetched_at, {"webhook_ip_ranges": [str(n) for n in networks]})
        except OSError as failure:
            _log.warning("addresses.copy_not_written", why=type(failure).__name__)
        return True

    def _set(self, networks: Iterable[Network]) -> None:
        held = tuple(networks)
        self._exact = frozenset(n.network_address for n in held if n.num_addresses == 1)
        self._wide = tuple(n for n in held if n.num_addresses > 1)
        self._verdicts.clear()

    def _judge(self, text: str | None) -> bool:
        address = read_address(text)
        if address is None:
            return False
        return address.is_loopback or address in self._exact or any(address in network for network in self._wide)


def _ranges_of(body: bytes) -> tuple[Network, ...]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ()
    return parse_ranges(document.get("webhook_ip_ranges") if isinstance(document, dict) else None)
