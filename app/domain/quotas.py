"""How much of this server one address may use: failed signatures, log lines, memory, connections.

Four quotas over one kind of ledger. An IPv6 address is entered by its /64, callers without an address together. Each
process counts for itself.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from ipaddress import ip_network
from math import inf
from typing import Literal, TypeVar

from app.domain.network import is_loopback, neighbourhood, read_address

BURST = 20  # failed signatures of one address that are within its quota at once
REFILL_SECONDS = 3.0  # until one more failed signature is within the quota
FULL_AGAIN = int(BURST * REFILL_SECONDS)  # seconds
FAILING = 4096  # addresses with failures; the one that has been quiet longest is forgotten

LINES = 10  # log lines of one address within TURN_SECONDS; the rest is only counted
TURN_SECONDS = 60.0
TURNS = 256  # addresses counted separately; all further ones are counted together, as OTHERS
OTHERS = "others"
WRITTEN = ""  # key of the count of lines that were written; the other keys are codes of lines left out

MEMORY = 64 << 20  # bytes, of the 768 MiB at which systemd begins to slow the server down
MEMORY_SHARES = 32  # one address may hold 1/32 of MEMORY, one of fal's too: its deliveries have a few KiB

CONNECTION_SHARES = 8  # one address may hold 1/8 of all connections
SMALLEST_SHARE = 8
KEPT = 16  # 1/16 of all connections is kept for fal's addresses
KNOWN = 1024  # size of the cache of ledger names: parsing an address takes 10 µs
SPARED = "spared"  # the ledger name of addresses without a share limit

Entry = TypeVar("Entry")
NoRoom = Literal["full", "share"]
Later = Callable[[float, Callable[[], None]], object]


class Ledger(OrderedDict[str, Entry]):
    """Entries by address, the one written longest ago first.

    Beyond `most` entries the oldest is dropped; with a name for `others` none is, and every further address is entered
    under that name.
    """

    def __init__(self, most: float = inf, others: str | None = None) -> None:
        super().__init__()
        self._most = most
        self._others = others

    def name(self, address: str | None) -> str:
        """Say under which name an address is entered."""
        name = neighbourhood(address)
        return self._others if self._others and name not in self and len(self) >= self._most else name

    def enter(self, name: str, entry: Entry) -> None:
        """Write an entry."""
        self[name] = entry
        self.move_to_end(name)
        if self._others is None and len(self) > self._most:
            self.popitem(last=False)


class SignatureQuota:
    """Failed signatures: twenty at once for each address, and one more every three seconds.

    Checking a signature takes about 60 µs and is never refused: a genuine delivery may come from an address that also
    sends junk (one proxy, one NAT, one cloud). Only what a *failed* check sets off is rationed: another look at fal's
    keys, and the plain 401, which becomes a 429. `elapsed` counts seconds and never goes back.
    """

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._full_at = Ledger[float](FAILING)  # when the address has its whole burst again, on the clock of `elapsed`

    def add(self, address: str | None) -> bool:
        """Count one failed signature; tell whether it was still within the address's quota.

        Loopback is never limited: it is the operator, or a proxy in front of every client.
        """
        if is_loopback(address):
            return True
        name, now = self._full_at.name(address), self._elapsed()
        full_at = max(self._full_at.get(name, now), now)
        is_within = full_at + REFILL_SECONDS <= now + FULL_AGAIN
        self._full_at.enter(name, full_at + REFILL_SECONDS if is_within else full_at)
        return is_within

    def are_many(self, address: str | None) -> bool:
        """Tell whether more than half of the address's quota is used up, which lasts only in a flood."""
        now = self._elapsed()
        return self._full_at.get(self._full_at.name(address), now) - now > FULL_AGAIN / 2


class LineQuota:
    """Log lines that strangers can cause: ten of an address in a minute; the rest is counted, and told at its end.

    At most 257 addresses are remembered, each for its minute. `later` calls back after so many seconds, `tell` takes
    the address's name and how many lines of which code were left out. `counted` counts every line since the start by
    its code, written or not.
    """

    def __init__(self, later: Later, tell: Callable[[str, Counter[str]], None]) -> None:
        self._later = later
        self._tell = tell
        self._turns = Ledger[Counter[str]](TURNS, OTHERS)
        self.counted: Counter[str] = Counter()

    def admits(self, address: str | None, code: str) -> bool:
        """Tell whether one more line may be written; `code` is what it would be counted as."""
        self.counted[code] += 1
        name = self._turns.name(address)
        turn = self._turns.get(name)
        if turn is None:
            turn = Counter()
            self._turns.enter(name, turn)
            self._later(TURN_SECONDS, partial(self._end, name))
        is_within = turn[WRITTEN] < LINES
        turn[WRITTEN if is_within else code] += 1
        return is_within

    def _end(self, name: str) -> None:
        turn = self._turns.pop(name)
        del turn[WRITTEN]
        if turn:
            self._tell(name, turn)


class Shares:
    """A resource of `most` units that addresses take and give back: each address at most `share` at a time.

    The last `kept` units are for expected addresses alone.
    """

    def __init__(self, most: int, share: int, kept: int) -> None:
        self.most = most
        self.share = share
        self.for_strangers = most - kept
        self.present = 0
        self._held = Ledger[int]()
        self._name = lru_cache(KNOWN)(self._judge)

    @property
    def room(self) -> int:
        """How much is free."""
        return self.most - self.present

    def held_by(self, address: str | None) -> int:
        """Return how many units an address has; those without a share are counted together."""
        return self._held.get(self._name(address), 0)

    def take(self, address: str | None, size: int, *, is_expected: bool) -> NoRoom | None:
        """Count `size` more for an address, or say why not: there is no more, or it has its share."""
        name = self._name(address)
        is_spared = name == SPARED
        share = self.most if is_spared else self.share
        held, present = self._held.get(name, 0) + size, self.present + size
        if present > self.most:
            return "full"
        if held > share:
            return "share"
        if present > self.for_strangers and not is_expected and not is_spared:
            return "full"
        self._held.enter(name, held)
        self.present = present
        return None

    def give_back(self, address: str | None, size: int) -> None:
        """Count `size` less for an address."""
        name = self._name(address)
        self.present -= size
        if left := self._held.pop(name, 0) - size:
            self._held.enter(name, left)

    def _judge(self, address: str | None) -> str:
        return self._held.name(address)


class MemoryQuota(Shares):
    """Bytes of unfinished bodies of at most `limit` each: 64 MiB of them, more where `limit` is large.

    One address may hold 1/32 of that; the last half is kept for expected bodies. Expected means signed in form and sent
    from one of fal's addresses.
    """

    def __init__(self, limit: int) -> None:
        most = max(MEMORY, 4 * limit)
        share = max(most // MEMORY_SHARES, limit)
        super().__init__(most, share, kept=most // 2)
        self.limit = limit


class ConnectionQuota(Shares):
    """Connections: `most` at once, of them one address its share.

    `spared` holds addresses and networks that have no share to keep to, such as a proxy that stands for everybody;
    `unix` in it is passed over, as in FORWARDED_ALLOW_IPS. A peer without an address is spared.
    `expects` tells whether an address is fal's. Without it no connections are kept for anybody.
    """

    def __init__(self, most: int, spared: Sequence[str] = (), expects: Callable[[str], bool] | None = None) -> None:
        share = min(most, max(SMALLEST_SHARE, most // CONNECTION_SHARES))
        super().__init__(most, share, kept=0 if expects is None else most // KEPT)
        self._expects = expects or (lambda _: False)
        self._networks = tuple(ip_network(name, strict=False) for name in spared if name != "unix")

    def enter(self, host: str) -> NoRoom | None:
        """Take a place for `host`, or say why there is none."""
        return self.take(host, 1, is_expected=self._expects(host))

    def leave(self, host: str) -> None:
        """Give the place back that `host` took."""
        self.give_back(host, 1)

    def _judge(self, address: str | None) -> str:
        bare = (address or "").partition("%")[0]
        read = read_address(bare)
        if read is None or any(read in network for network in self._networks):
            return SPARED
        return super()._judge(bare)
