"""The one place where the twins look at the wall clock; everything else takes a `Clock` argument."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Returns Unix seconds, with a fraction."""


def wall_clock() -> float:
    """Return the machine's time in Unix seconds."""
    return time.time()
