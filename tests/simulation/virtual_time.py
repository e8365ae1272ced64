"""Seconds that pass on the loop's clock: put in the place of the kernel's counts before `app` is imported."""

import asyncio
import time

_real = time.monotonic


def monotonic() -> float:
    """Return the running simulation's seconds."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _real()
    return loop.time()


def install() -> None:
    """Put it in the place, for this process."""
    time.monotonic = monotonic
    time.clock_gettime = lambda _clock: monotonic()
