"""Where fal's deliveries come from. Defence in depth: the signature is what counts.

Source: fal's `GET /v1/meta`, field `webhook_ip_ranges` (docs/fal.md).
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

import orjson
import structlog

from app.domain.network import read_address
from app.fal.client import Client
from app.fal.published import CachedDocument
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
BRIEFLY = 1.0  # s for one fetch while a delivery waits
LOOK_SECONDS = 1.5  # s that a delivery waits for addresses; keys may take another 6 of the 10 for an answer
LOOK_INTERVAL = timedelta(minutes=1)  # between two fetches that deliveries cause; fal repeats for 6 minutes and more
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


class Addresses(CachedDocument[Network]):
    """The ranges deliveries may come from. An old list stays in force: it is never a reason to refuse fal.

    `url` is fal's meta endpoint. `fixed` (ALLOWED_IPS), when it holds anything, replaces fal's list for good; an entry
    that is no address raises ValueError.
    """

    min_interval = LOOK_INTERVAL
    fetch_seconds = FETCH_SECONDS
    unusable = "no_usable_list"

    def __init__(
        self,
        url: str,
        cache_file: Path,
        client: Client,
        clock: Callable[[], datetime],
        fixed: Sequence[str] | None = None,
        *,
        skew: Skew | None = None,
    ) -> None:
        super().__init__([url], cache_file, client, clock, skew=skew)
        self.is_fixed = bool(fixed)
        self._verdicts: dict[str | None, bool] = {}
        self._hold(tuple(ip_network(entry, strict=False) for entry in fixed or BUILT_IN))

    def allows(self, address: str | None) -> bool:
        """Tell whether a peer with this address may deliver. Loopback may; what is no IP address may not."""
        verdict = self._verdicts.get(address)
        if verdict is None:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            verdict = self._verdicts[address] = self._judge(address)
        return verdict

    async def load(self) -> None:
        """Take the list from the disk copy, unless ALLOWED_IPS rule."""
        if not self.is_fixed:
            await super().load()

    async def refresh(self) -> bool:
        """Fetch the list, unless ALLOWED_IPS rule; tell whether what is held now is as it should be."""
        return self.is_fixed or await super().refresh()

    async def look_again(self, address: str | None) -> bool:
        """Fetch the list because it lacks `address`, at most once a minute whoever asks; tell whether it holds it now.

        Callers during a fetch wait for it, at most 1.5 s. Where ALLOWED_IPS rule, nothing is fetched.
        """
        if self.is_fixed or read_address(address) is None:
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self.refresh_after_failure(seconds=BRIEFLY)
        return self.allows(address)

    def _hold(self, entries: tuple[Network, ...]) -> None:
        super()._hold(entries)
        self._exact = frozenset(n.network_address for n in entries if n.num_addresses == 1)
        self._wide = tuple(n for n in entries if n.num_addresses > 1)
        self._verdicts.clear()

    def _judge(self, text: str | None) -> bool:
        address = read_address(text)
        if address is None:
            return False
        return address.is_loopback or address in self._exact or any(address in network for network in self._wide)

    def _parse(self, body: bytes) -> tuple[Network, ...]:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            return ()
        return parse_ranges(document.get("webhook_ip_ranges") if isinstance(document, dict) else None)

    def _written(self, entries: Iterable[Network]) -> dict[str, Any]:
        return {"webhook_ip_ranges": [str(network) for network in entries]}

    def _log_refreshed(self, host: str | None, entries: int, *, changed: bool) -> None:  # noqa: ARG002  the base's signature
        _log.info("addresses.refreshed", host=host, ranges=entries)

    def _log_refresh_failed(self, host: str | None, why: str, status: int | None) -> None:
        _log.warning("addresses.refresh_failed", host=host, why=why, status=status)

    def _log_copy_ignored(self, why: str) -> None:
        _log.warning("addresses.copy_ignored", why=why)

    def _log_copy_not_written(self, why: str) -> None:
        _log.warning("addresses.copy_not_written", why=why)
