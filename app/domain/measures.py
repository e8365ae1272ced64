"""What one process has done since its start, counted where it happens: plain numbers, which /metrics spells out.

Nothing here knows how they are shown. A count costs the receiver a fraction of a microsecond, and nobody reads it
before somebody asks.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.domain.trainer import Trainer

# Upper bounds of the histograms: seconds, but for the rows of a commit.
ACCEPT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0)
ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
APPLY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAY = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 86_400.0)
TRAINING = (60.0, 120.0, 180.0, 300.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 5400.0, 7200.0, 14_400.0)

STORED, REPEATED = "stored", "repeated"
UNKNOWN_TRAINER = "unknown"


class Histogram:
    """How often a value fell into each part of its range. `counts` has one entry more than `bounds`: what is above."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value; one below 0, which a clock that stepped back makes, counts as 0.

        >>> histogram = Histogram((1.0, 2.0))
        >>> for value in (1.0, 1.5, 9.0, -3.0):
        ...     histogram.add(value)
        >>> histogram.counts, histogram.total
        ([2, 1, 1], 11.5)
        """
        value = max(value, 0.0)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def _by_trainer() -> dict[str, Histogram]:
    return {name: Histogram(TRAINING) for name in (*(trainer.value for trainer in Trainer), UNKNOWN_TRAINER)}


@dataclass(slots=True)
class Measures:
    """The counts of one process. Keys of pairs are the values of two labels, in the order of the metric's labels."""

    received: Counter[str] = field(default_factory=Counter)
    applied: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind, outcome
    sends: Counter[tuple[str, str]] = field(default_factory=Counter)  # topic, outcome
    asked: Counter[tuple[str, str]] = field(default_factory=Counter)  # what fal was asked for, outcome
    accept: Histogram = field(default_factory=lambda: Histogram(ACCEPT))
    commit_rows: Histogram = field(default_factory=lambda: Histogram(ROWS))
    apply: Histogram = field(default_factory=lambda: Histogram(APPLY))
    to_applied: Histogram = field(default_factory=lambda: Histogram(WAY))
    to_told: Histogram = field(default_factory=lambda: Histogram(WAY))
    training: dict[str, Histogram] = field(default_factory=_by_trainer)
    collection_errors: int = 0
