"""What is wrong in the world just now: which part of it, in which way, how often. Keeps the time that was fair."""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from app.db.chores import APART, LONGEST

CAUGHT_UP = (LONGEST + APART).total_seconds()
SETTLE = 900.0  # s after the last trouble in which pauses of ours may still run: the longest backoff is 5 minutes


@dataclass(frozen=True, slots=True)
class Trouble:
    """A part meets requests in this `mode`, each with this probability."""

    part: str
    mode: str
    share: float = 1.0


class Weather:
    """Troubles under way. `fair` counts the seconds in which the world allowed everything."""

    def __init__(self, time: Callable[[], float], chance: random.Random) -> None:
        self._time = time
        self._chance = chance
        self._under_way: dict[int, Trouble] = {}
        self._by_part: defaultdict[str, list[Trouble]] = defaultdict(list)
        self._number = 0
        self._fair = 0.0
        self._fair_from: float | None = 0.0
        self._periods: list[tuple[float, float]] = []  # that were fair, and are over
        self._late = 0.0  # until when rows may rest that a fast clock put off

    def begin(self, *troubles: Trouble) -> list[int]:
        """Let troubles begin; return what ends them."""
        self.disturb()
        self._fair_from = None
        numbers = []
        for trouble in troubles:
            self._number += 1
            self._under_way[self._number] = trouble
            self._by_part[trouble.part].append(trouble)
            numbers.append(self._number)
        return numbers

    def end(self, numbers: list[int]) -> None:
        """Let them end."""
        for number in numbers:
            trouble = self._under_way.pop(number, None)
            if trouble is not None:
                self._by_part[trouble.part].remove(trouble)
        if numbers and not self._under_way and self._fair_from is None:
            self._fair_from = self._settled()

    def disturb(self) -> None:
        """Note something that was over at once (a crash), or the begin of something."""
        if self.is_fair() and self._fair_from is not None:
            self._periods.append((self._fair_from, self._time()))
        self._fair = self.fair()
        self._fair_from = None if self._under_way else self._settled()

    def clock_went_back(self, step: float) -> None:
        """Note that a clock which was `step` s ahead is right again: what it put off rests until that time comes.

        What rests further than CAUGHT_UP is pulled back by the server (`chores.pull_back`).
        """
        self._late = max(self._late, self._time() + min(step, CAUGHT_UP))

    def _settled(self) -> float:
        return max(self._time(), self._late) + SETTLE

    def clear_up(self) -> None:
        """End everything."""
        self.end(list(self._under_way))

    def fair(self) -> float:
        """Seconds so far in which nothing was wrong, nor had been for SETTLE."""
        if self._fair_from is None or self._under_way:
            return self._fair
        return self._fair + max(0.0, self._time() - self._fair_from)

    def fair_between(self, begin: float, end: float) -> float:
        """Seconds between two moments in which nothing was wrong, nor had been for SETTLE."""
        now = (self._fair_from, self._time()) if self.is_fair() and self._fair_from is not None else (0.0, 0.0)
        return sum(max(0.0, min(end, until) - max(begin, since)) for since, until in (*self._periods, now))

    def calm(self) -> float:
        """Seconds for which everything has been allowed, without a break."""
        return max(0.0, self._time() - self._fair_from) if self.is_fair() and self._fair_from is not None else 0.0

    def is_fair(self) -> bool:
        """Tell whether everything is allowed now."""
        return not self._under_way and self._fair_from is not None and self._time() >= self._fair_from

    def of(self, part: str) -> str | None:
        """Draw how this request to a part is met; None: well."""
        troubles = self._by_part.get(part)
        if not troubles:
            return None
        for trouble in troubles:
            if trouble.share >= 1 or self._chance.random() < trouble.share:
                return trouble.mode
        return None

    def is_in(self, part: str, mode: str) -> bool:
        """Tell whether a part is in this mode for everybody."""
        return any(trouble.mode == mode for trouble in self._by_part.get(part, ()))
