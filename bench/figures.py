"""From runs to single figures: rates, costs, medians, and ratios within a round."""

import statistics
from collections.abc import Callable, Sequence

from bench.designs import Design
from bench.turns import Run

Value = Callable[[Run], float]


def rate(run: Run) -> float:
    """Answers per second."""
    return run.load.requests_per_second


def cpu(run: Run) -> float:
    """Server CPU per answer, in µs."""
    return run.load.server_cpu_us


def p99(run: Run) -> float:
    """The latency that 99 of 100 answers keep, in ms."""
    return run.load.p99_ms


def rss(run: Run) -> float:
    """The largest memory, in MiB."""
    return run.rss_peak_mib


def applied_rate(run: Run) -> float:
    """Trainings applied per second, from the first delivery to the last one applied."""
    return 0.0 if run.work is None else run.work.per_second(run.load.seconds)


def of(runs: Sequence[Run], design: Design) -> list[Run]:
    """Return the runs of one design, in their order."""
    return [run for run in runs if run.design == design.name]


def median(runs: Sequence[Run], value: Value) -> float:
    """Return the median over these runs."""
    return statistics.median(value(run) for run in runs)


def ratio(runs: Sequence[Run], ours: Design, other: Design, value: Value) -> float | None:
    """Return the median over the rounds of ours : other, each from the same round; None where one was not measured."""
    pairs = list(zip(of(runs, ours), of(runs, other), strict=False))
    if not pairs:
        return None
    return statistics.median(value(mine) / max(value(theirs), 1e-9) for mine, theirs in pairs)


def spread(values: Sequence[float], digits: int) -> str:
    """Write a median, with the extremes where there is more than one value."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"
