"""Lines of the log that strangers can cause, rationed by where they come from."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import structlog

from app.domain.network import neighbourhood

LINES = 10  # of one address in a turn; the rest is counted
TURN_SECONDS = 60.0
ADDRESSES = 256  # that have a turn of their own; whoever comes on top of them shares one
OTHERS = "others"

log = structlog.get_logger("app.webhook")

Later = Callable[[float, Callable[[], None]], object]


def _on_the_loop(seconds: float, act: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, act)


@dataclass(slots=True)
class _Turn:
    lines: int = 0
    muted: Counter[str] = field(default_factory=Counter)


class Quiet:
    """Lets ten lines of an address into the log, counts the rest, and tells the count when its minute is over.

    At most 257 addresses are remembered, each for a minute. `later` calls back after so many seconds.
    """

    def __init__(self, later: Later = _on_the_loop) -> None:
        self._later = later
        self._turns: dict[str, _Turn] = {}

    def admits(self, address: str | None, code: str) -> bool:
        """Tell whether one more line may be written; `code` is what it would be counted as."""
        name = neighbourhood(address)
        if name not in self._turns and len(self._turns) >= ADDRESSES:
            name = OTHERS
        turn = self._turns.get(name)
        if turn is None:
            turn = self._turns[name] = _Turn()
            self._later(TURN_SECONDS, partial(self._end, name))
        turn.lines += 1
        if turn.lines > LINES:
            turn.muted[code] += 1
            return False
        return True

    def _end(self, name: str) -> None:
        turn = self._turns.pop(name)
        if turn.muted:
            log.warning("delivery.muted", address=name or None, lines=turn.muted.total(), codes=dict(turn.muted))
