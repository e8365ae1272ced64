"""What was promised, and how it is held against the measurements."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench import designs as d
from bench.figures import applied_rate, cpu, median, of, p99, rate, ratio
from bench.standing import Standing
from bench.turns import Run

FRONTS = (
    ("HTTP", d.OURS, d.ECHO),
    ("TLS", d.OURS_TLS, d.ECHO_TLS),
    ("nginx", d.OURS_NGINX, d.ECHO_NGINX),
    ("nginx, kept alive", d.OURS_KEPT, d.ECHO_KEPT),
)
RATE, CPU, P99 = 1.15, 1.0, 1.4  # × the echo's
PLAIN = 3  # × the plain design's
POSTGRES_RATE, REPLICAS_CPU = 0.95, 1.1  # × the echo's over HTTP, × one process's
SLOW_RATE, SLOW_RATE_MANY = 0.40, 0.8  # × the echo's with as many connections, which touches no disk
STEADY_P99 = 50  # ms
RSS_PEAK, RSS_REST = 100, 85  # MiB
READY, READY_BEFORE, IDLE = 2, 0.8, 0.4  # s, × before, % of one core


@dataclass(frozen=True, slots=True)
class Target:
    """A promise and what was measured."""

    name: str
    measured: float
    unit: str
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        """Whether the promise is kept."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit


def targets(runs: Sequence[Run], standing: Mapping[d.Kind, Standing]) -> list[Target]:
    """Hold what was measured against what was promised; what was not measured is left out."""
    return [*_ratios(runs), *_standing(standing), *_counts(runs)]


def _ratios(runs: Sequence[Run]) -> Iterator[Target]:
    wanted = [
        *((f"answers/s : FastAPI echo, {way}", ratio(runs, a, b, rate), RATE, True) for way, a, b in FRONTS),
        *((f"CPU per answer : FastAPI echo, {way}", ratio(runs, a, b, cpu), CPU, False) for way, a, b in FRONTS),
        *((f"p99 : FastAPI echo, {way}", ratio(runs, a, b, p99), P99, False) for way, a, b in FRONTS),
        ("answers/s : plain design, SQLite", ratio(runs, d.OURS, d.PLAIN, rate), PLAIN, True),
        ("trainings applied/s : plain design", ratio(runs, d.OURS, d.PLAIN, applied_rate), PLAIN, True),
        ("answers/s, PostgreSQL : FastAPI echo, HTTP", ratio(runs, d.POSTGRES, d.ECHO, rate), POSTGRES_RATE, True),
        ("CPU per answer, two replicas : one", ratio(runs, d.REPLICAS, d.POSTGRES, cpu), REPLICAS_CPU, False),
        ("answers/s, fsync 10 ms : FastAPI echo, HTTP", ratio(runs, d.SLOW_DISK, d.ECHO, rate), SLOW_RATE, True),
        (
            "answers/s, fsync 10 ms : FastAPI echo, 256 connections",
            ratio(runs, d.SLOW_DISK_MANY, d.ECHO_MANY, rate),
            SLOW_RATE_MANY,
            True,
        ),
    ]
    for name, measured, limit, at_least in wanted:
        if measured is not None:
            yield Target(name, measured, "×", limit, at_least)
    if steady := of(runs, d.STEADY):
        yield Target("p99 at 200/s beside 50,000 due", median(steady, p99), "ms", STEADY_P99, at_least=False)


def _standing(standing: Mapping[d.Kind, Standing]) -> Iterator[Target]:
    ours = standing["ours"]
    yield Target("ready, fresh database", statistics.median(ours.starts.fresh), "s", READY, at_least=False)
    yield Target("ready, existing database", statistics.median(ours.starts.existing), "s", READY, at_least=False)
    if (before := standing.get("before")) is not None:
        yield Target("ready : before", ours.ready() / before.ready(), "×", READY_BEFORE, at_least=False)
    yield Target("memory at rest, RSS", statistics.median(ours.rest.rss_mib), "MiB", RSS_REST, at_least=False)
    yield Target("idle", statistics.median(ours.rest.cpu_percent), "% of a core", IDLE, at_least=False)


def _counts(runs: Sequence[Run]) -> Iterator[Target]:
    ours = [run for run in runs if run.design.startswith("ours")]
    errors = sum(run.load.socket_errors + run.load.timeouts for run in ours)
    missing = sum(run.stored.missing for run in ours if run.stored is not None)
    peak = max(run.rss_peak_mib for run in ours)
    yield Target("memory, RSS peak under load", peak, "MiB", RSS_PEAK, at_least=False)
    yield Target("answered 2xx and not on disk", missing, "rows", 0, at_least=False)
    yield Target("ours: answers other than 2xx", sum(run.load.non_2xx for run in ours), "", 0, at_least=False)
    yield Target("ours: socket errors and timeouts", errors, "", 0, at_least=False)


def target_table(held: Sequence[Target]) -> list[str]:
    """Write in Markdown what was demanded and what was measured."""
    return [
        "| target | measured | limit | |",
        "|---|--:|--:|---|",
        *(
            f"| {t.name} | {t.measured:.4g} {t.unit} | {'≥' if t.at_least else '≤'} {t.limit:g} {t.unit} "
            f"| {'pass' if t.met else 'FAIL'} |"
            for t in held
        ),
    ]
