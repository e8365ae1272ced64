"""How many connections there may be, how many of them one address may hold, and for whom the last ones are kept."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import ip_network
from typing import Literal

from app.domain.network import neighbourhood, read_address

SHARES = 8  # one address may hold the eighth part of all places
SMALLEST_SHARE = 8
KEPT = 16  # the sixteenth part of all places is kept for those who are expected
UNIX = "unix"
KNOWN_HOSTS = 1024

NoRoom = Literal["full", "share"]


def _nobody(_: str) -> bool:
    return False


class ConnectionLimits:
    """Counts who is in: `most` connections at once, of them one address its share.

    `spared` holds addresses and networks that have no share to keep to, such as a proxy that stands for everybody;
    `unix` in it is passed over, as in FORWARDED_ALLOW_IPS. A peer without an address is spared.
    `expects` knows by the address who is awaited, fal: however many strangers come, the last places are for these and
    for the spared. Without it none are kept.
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
        """How many places are free."""
        return self._most - self.present

    def enter(self, host: str) -> NoRoom | None:
        """Take a place for `host`, or say why there is none."""
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
        name = host.partition("%")[0]
        address = read_address(name)
        if address is None or any(address in network for network in self._networks):
            return None
        return neighbourhood(name)
