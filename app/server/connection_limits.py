"""Limits on connections: in all, per address, and a reserve for expected addresses."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_network
from typing import Literal

from app.domain.network import neighbourhood, read_address

SHARES = 8  # one address may hold an eighth of all connections
SMALLEST_SHARE = 8
KEPT = 16  # a sixteenth of all connections is reserved for expected addresses
UNIX = "unix"
KNOWN_HOSTS = 1024

NoRoom = Literal["full", "share"]


def _nobody(_: str) -> bool:
    return False


class ConnectionLimits:
    """Counts open connections: `most` at once, and `share` of them per address.

    `spared` holds addresses and networks without a limit per address, such as a proxy that forwards for all clients;
    `unix` in it is ignored, as in FORWARDED_ALLOW_IPS. A peer without an address is spared.
    `expects` tells whether an address is expected (fal): the last connections are reserved for these and for the
    spared. Without it none are reserved.
    """

    def __init__(self, most: int, spared: Sequence[str] = (), expects: Callable[[str], bool] | None = None) -> None:
        self.share = min(most, max(SMALLEST_SHARE, most // SHARES))
        self.present = 0
        self._most = most
        self._for_strangers = most if expects is None else most - most // KEPT
        self._expects = expects or _nobody
        self._held: Counter[str] = Counter()
        self._networks = tuple(ip_network(name, strict=False) for name in spared if name != UNIX)
        self._place = lru_cache(KNOWN_HOSTS)(self._judge)

    @property
    def room(self) -> int:
        """How many more connections fit."""
        return self._most - self.present

    def enter(self, host: str) -> NoRoom | None:
        """Count one more connection of `host`, or return why it is refused."""
        if self.present >= self._most:
            return "full"
        place = self._place(host)
        if place is not None:
            if self._held[place] >= self.share:
                return "share"
            if self.present >= self._for_strangers and not self._expects(host):
                return "full"
            self._held[place] += 1
        self.present += 1
        return None

    def leave(self, host: str) -> None:
        """Count one connection of `host` less."""
        self.present -= 1
        place = self._place(host)
        if place is None:
            return
        self._held[place] -= 1
        if not self._held[place]:
            del self._held[place]

    def _judge(self, host: str) -> str | None:
        """Return the key under which `host` is counted, None if it is spared."""
        name = host.partition("%")[0]
        address = read_address(name)
        if address is None or any(address in network for network in self._networks):
            return None
        return neighbourhood(name)
