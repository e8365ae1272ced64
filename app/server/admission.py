"""How many connections there may be, and how many of them one address may hold."""

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

SHARES = 8  # one address may hold the eighth part of all places
SMALLEST_SHARE = 8
SITE = 64  # bits of an IPv6 address that a network is given; below them its owner chooses freely
UNIX = "unix"
KNOWN_HOSTS = 1024

Refusal = Literal["full", "share"]


class Admission:
    """Counts who is in: `most` connections at once, of them one address its share.

    `spared` holds addresses and networks that have no share to keep to, such as a proxy that stands for everybody;
    `unix` in it is passed over, as in FORWARDED_ALLOW_IPS. A peer without an address is spared.
    """

    def __init__(self, most: int, spared: Sequence[str] = ()) -> None:
        self.share = min(most, max(SMALLEST_SHARE, most // SHARES))
        self.present = 0
        self._most = most
        self._held: Counter[str] = Counter()
        self._networks = tuple(ip_network(name, strict=False) for name in spared if name != UNIX)
        self._place = lru_cache(KNOWN_HOSTS)(self._judge)

    @property
    def room(self) -> int:
        """How many places are free."""
        return self._most - self.present

    def enter(self, host: str) -> Refusal | None:
        """Take a place for `host`, or say why there is none."""
        if self.present >= self._most:
            return "full"
        place = self._place(host)
        if place is not None:
            if self._held[place] >= self.share:
                return "share"
            self._held[place] += 1
        self.present += 1
        return None

    def leave(self, host: str) -> None:
        """Give the place back that `host` took."""
        self.present -= 1
        place = self._place(host)
        if place is None:
            return
        self._held[place] -= 1
        if not self._held[place]:
            del self._held[place]

    def _judge(self, host: str) -> str | None:
        """Return under which name `host` is counted, or None if it is spared."""
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return None
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self._networks):
            return None
        if isinstance(address, IPv6Address):
            return str(IPv6Network((address, SITE), strict=False))
        return str(address)
