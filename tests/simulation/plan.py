"""What a run consists of, drawn from its seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.simulation import troubles
from tests.simulation.chance import stream
from tests.simulation.troubles import Act

DAY = 86_400.0
NIGHT = (0.15, 0.1, 0.1, 0.1, 0.15, 0.3, 0.6, 1, 1, 1, 1, 1.2, 1.2, 1, 1, 1.2, 1.4, 1.5, 1.5, 1.4, 1.2, 0.9, 0.6, 0.3)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run consists of. A part of it is a run as well, which is how a failure is made smaller."""

    seed: int
    days: float
    acts: tuple[Act, ...]
    trainings: tuple[tuple[int, float], ...]  # number, begin
    server: str | None = None  # URL of a PostgreSQL server; None: SQLite

    @classmethod
    def of(cls, seed: int, days: float, trainings_a_day: float, troubles_a_day: float) -> "Plan":
        """Draw a plan."""
        chance = stream(seed, "plan")
        hours = list(range(math.ceil(days * 24)))
        drawn = chance.choices(hours, [NIGHT[hour % 24] for hour in hours], k=round(days * trainings_a_day))
        begins = sorted((hour + chance.random()) * 3600 for hour in drawn)
        return cls(
            seed,
            days,
            tuple(troubles.draw(stream(seed, "acts"), days, troubles_a_day, seed)),
            tuple(enumerate((begin for begin in begins if begin < days * DAY), start=1)),
        )

    def with_acts(self, wanted: Sequence[str] | None) -> "Plan":
        """Take these troubles, each spelt SECONDS:KIND, in the place of those that were drawn; None: as it is."""
        if wanted is None:
            return self
        spelt = [one.partition(":") for one in wanted]
        acts = [Act(float(at), kind, f"{self.seed}:act:{number}") for number, (at, _, kind) in enumerate(spelt)]
        return replace(self, acts=tuple(acts))
