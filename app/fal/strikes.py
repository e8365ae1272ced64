"""What bad signatures may cost us, by where they come from.

Checking a signature takes about 60 µs and is never refused: a genuine delivery may come from an address that also
sends junk (one proxy, one NAT, one cloud). Only what a *failed* check sets off is rationed: another look at fal's keys,
and the plain 401, which becomes a 429.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from app.domain.network import is_loopback, neighbourhood

BURST = 20  # failures that an address has at once
REFILL_SECONDS = 3.0  # for one more
FULL_AGAIN = int(BURST * REFILL_SECONDS)  # seconds
REMEMBERED = 4096  # addresses; the one that has been quiet longest is forgotten


class Strikes:
    """A token bucket for each address, in this process only. `elapsed` counts seconds and never goes back."""

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        self._full_at: OrderedDict[str, float] = OrderedDict()  # when the bucket will be full again; newest last

    def add(self, address: str | None) -> bool:
        """Count one failed signature; tell whether it was still within the address's measure.

        This machine's own probes are never too many: a proxy that hides its clients is not told from them, either.
        """
        if is_loopback(address):
            return True
        name, now = neighbourhood(address), self._elapsed()
        full_at = max(self._full_at.pop(name, now), now)
        is_within = full_at + REFILL_SECONDS <= now + FULL_AGAIN
        self._full_at[name] = full_at + REFILL_SECONDS if is_within else full_at
        if len(self._full_at) > REMEMBERED:
            self._full_at.popitem(last=False)
        return is_within

    def are_many(self, address: str | None) -> bool:
        """Tell whether more than half of the address's measure is used up, as it stays in a flood."""
        now = self._elapsed()
        return self._full_at.get(neighbourhood(address), now) - now > FULL_AGAIN / 2
