"""How the people of a world are: how often the bot meddles, what trainings come to, who submits. Drawn by the seed."""

from dataclasses import dataclass, field
from typing import Self, TypeVar

from tests.simulation.chance import one_of, stream

ENDS: dict[str, float] = {
    "success": 88, "finetune": 2, "two files": 1, "large": 2, "unserialised": 2,
    "refused": 1.5, "infra": 1, "text": 0.7, "unserialised failure": 0.5, "locked": 0.3, "no artifact": 1,
    "error then success": 1, "two successes": 0.6, "success then error": 1.5, "odd file": 0.9, "long id": 0.2,
}  # fmt: skip
SHELVES: dict[str, float] = {"there": 95, "lags": 3, "never": 0.6, "empty": 0.4}
MOODS: dict[str | None, float] = {
    None: 92, "blocked": 1.5, "unknown": 0.7, "slow": 5, "picky": 0.8, "fixed": 0.5, "nameless": 0.6,
}  # fmt: skip
ZONES = ("UTC+5",) * 4 + (
    "GMT", "+6", "Asia/Almaty", "UTC-11", "-3:30", "UTC+15", "the moon", "America/New_York", "UTC+12",
)  # fmt: skip
T = TypeVar("T")
WORSE = 12.0  # how much more often what is rare happens in a world where much of it does


@dataclass(frozen=True, slots=True)
class Temper:
    """Shares of trainings, and weights of what becomes of them."""

    meddles: float = 0.05  # the bot writes into a row that is the server's to write
    gives_up: float = 0.015
    submits: float = 0.15
    registers: float = 0.15
    refuses: float = 0.003  # a row of the bot's that takes no end, by a check of the bot's own
    errs: float = 0.1  # asks the API for what cannot be had
    forges: float = 0.1
    generates: float = 0.3
    ends: dict[str, float] = field(default_factory=lambda: ENDS)
    shelves: dict[str, float] = field(default_factory=lambda: SHELVES)
    moods: dict[str | None, float] = field(default_factory=lambda: MOODS)

    @classmethod
    def of(cls, seed: object) -> Self:
        """Draw one: most of it is usual, one thing or another is not."""
        chance = stream(seed, "temper")
        return cls(
            meddles=one_of(chance, {0.05: 6, 0.45: 4}),
            gives_up=one_of(chance, {0.015: 8, 0.2: 2}),
            submits=one_of(chance, {0.15: 7, 0.6: 3}),
            registers=one_of(chance, {0.15: 7, 0.6: 3}),
            refuses=one_of(chance, {0.003: 4, 0.08: 1}),
            errs=one_of(chance, {0.1: 6, 0.7: 4}),
            forges=one_of(chance, {0.1: 7, 0.6: 3}),
            generates=one_of(chance, {0.3: 7, 0.9: 3}),
            ends=_worse(ENDS, "success") if chance.random() < 0.4 else ENDS,
            shelves=_worse(SHELVES, "there") if chance.random() < 0.3 else SHELVES,
            moods=_worse(MOODS, None) if chance.random() < 0.3 else MOODS,
        )


def _worse(weighted: dict[T, float], usual: T) -> dict[T, float]:
    return {what: often * (1 if what == usual else WORSE) for what, often in weighted.items()}
