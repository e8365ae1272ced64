"""From runs to figures: medians, ratios, targets, Markdown."""

import platform
import ssl
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from sqlite3 import sqlite_version
from typing import Any

from bench.designs import DESIGNS
from bench.turns import Run, Starts

OURS, ECHO, PLAIN = "ours, HTTP, trainings known", "FastAPI echo, HTTP", "plain design, HTTP"
OURS_TLS, ECHO_TLS = "ours, TLS, trainings known", "FastAPI echo, TLS"
LIBRARIES = ("fastapi", "starlette", "uvicorn", "httptools", "uvloop", "sqlalchemy", "pynacl", "orjson")


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


def ratio(runs: Sequence[Run], ours: str, other: str, value: Callable[[Run], float]) -> float:
    """Return the median over the rounds of ours : other, each taken from the same round."""
    pairs = zip(_of(runs, ours), _of(runs, other), strict=True)
    return statistics.median(value(mine) / value(theirs) for mine, theirs in pairs)


def rate(run: Run) -> float:
    """Answers per second."""
    return run.load.requests_per_second


def cpu(run: Run) -> float:
    """Server CPU per answer."""
    return run.load.server_cpu_us


def applied_rate(run: Run) -> float:
    """Trainings applied per second, from the first delivery to the last one applied."""
    return 0.0 if run.work is None else run.work.per_second(run.load.seconds)


def targets(runs: Sequence[Run], starts: Starts) -> list[Target]:
    """Hold the measurements against what was promised."""
    ours = [run for run in runs if run.design.startswith("ours")]
    slowest = max(_median(_of(runs, name), lambda run: run.load.p99_ms) for name in {run.design for run in ours})
    ready = {"fresh": starts.fresh, "existing": starts.existing}
    return [
        Target("answers/s : FastAPI echo, HTTP", ratio(runs, OURS, ECHO, rate), "×", 0.6, at_least=True),
        Target("answers/s : FastAPI echo, TLS", ratio(runs, OURS_TLS, ECHO_TLS, rate), "×", 0.6, at_least=True),
        Target("answers/s : plain design, SQLite", ratio(runs, OURS, PLAIN, rate), "×", 3, at_least=True),
        Target(
            "trainings applied/s : plain design",
            ratio(runs, OURS, PLAIN, applied_rate),
            "×",
            3,
            at_least=True,
        ),
        Target("p99, the slowest of our variants", slowest, "ms", 100, at_least=False),
        Target("memory, PSS peak under load", max(run.pss_peak_mib for run in ours), "MiB", 130, at_least=False),
        Target("memory, RSS peak under load", max(run.rss_peak_mib for run in ours), "MiB", 130, at_least=False),
        *(
            Target(f"ready, {name} database", statistics.median(seconds), "s", 2, at_least=False)
            for name, seconds in ready.items()
        ),
        Target("answered 2xx and not on disk", sum(_missing(run) for run in ours), "rows", 0, at_least=False),
        Target("ours: answers other than 2xx", sum(run.load.non_2xx for run in ours), "", 0, at_least=False),
        Target(
            "ours: socket errors and timeouts",
            sum(run.load.socket_errors + run.load.timeouts for run in ours),
            "",
            0,
            at_least=False,
        ),
    ]


def markdown(runs: Sequence[Run], starts: Starts, idle: float, held: Sequence[Target], how: dict[str, Any]) -> str:
    """Write the whole result."""
    names = [design.name for design in DESIGNS if any(run.design == design.name for run in runs)]
    ratios = (
        ("HTTP", OURS, ECHO),
        ("TLS", OURS_TLS, ECHO_TLS),
    )
    return "\n".join(
        [
            (
                f"{how['rounds']} rounds in turns, {how['seconds']} s each, {how['connections']} connections; "
                "medians (lowest–highest)."
            ),
            "",
            "| design | answers/s | p50 ms | p99 ms | not 2xx | errors | CPU µs/answer | RSS MiB | PSS MiB |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(_row(name, _of(runs, name)) for name in names),
            "",
            *(
                f"- ours : echo over {what}: **{ratio(runs, ours, echo, rate):.2f}** of its answers/s, "
                f"{ratio(runs, ours, echo, cpu):.2f} of its CPU per answer"
                for what, ours, echo in ratios
            ),
            (
                f"- ours : plain design: **{ratio(runs, OURS, PLAIN, rate):.1f}** × its answers/s, "
                f"**{ratio(runs, OURS, PLAIN, applied_rate):.1f}** × its trainings applied/s"
            ),
            *(_worker_line(name, _of(runs, name)) for name in (OURS, OURS_TLS, PLAIN)),
            *_durable_lines(runs),
            (
                f"- ready: fresh database {spread(starts.fresh, 2)} s, existing {spread(starts.existing, 2)} s; "
                f"memory then {starts.fresh_rss_mib:.0f} and {starts.existing_rss_mib:.0f} MiB RSS, "
                f"{starts.fresh_pss_mib:.0f} and {starts.existing_pss_mib:.0f} MiB PSS"
            ),
            f"- idle: {idle:.2f} % of one core",
            "",
            *target_table(held),
            "",
            (
                f"Load average before {how['load_average'][0]:.1f}: above about 0.5 something else was running, and "
                "only the ratios and the CPU per answer say much."
            ),
            f"Machine: {how['machine']}",
        ]
    )


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


def machine() -> str:
    """Describe what it ran on."""
    described = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    memory = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1]) / 1024 / 1024
    openssl = " ".join(ssl.OPENSSL_VERSION.split()[:2])
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    return (
        f"{len(models)} × {models[0]}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite_version}, {openssl}; {libraries}"
    )


def as_json(
    runs: Sequence[Run], starts: Starts, idle: float, held: Sequence[Target], how: dict[str, Any]
) -> dict[str, Any]:
    """Return everything measured, for a program."""
    return {
        **how,
        "runs": [asdict(run) for run in runs],
        "starts": asdict(starts),
        "idle_percent": idle,
        "targets": [{**asdict(target), "met": target.met} for target in held],
    }


def _row(name: str, runs: Sequence[Run]) -> str:
    cells = [
        spread([run.load.requests_per_second for run in runs], 0),
        spread([run.load.p50_ms for run in runs], 1),
        spread([run.load.p99_ms for run in runs], 1),
        str(sum(run.load.non_2xx for run in runs)),
        str(sum(run.load.socket_errors + run.load.timeouts for run in runs)),
        spread([run.load.server_cpu_us for run in runs], 0),
        f"{max(run.rss_peak_mib for run in runs):.0f}",
        f"{max(run.pss_peak_mib for run in runs):.0f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _worker_line(name: str, runs: Sequence[Run]) -> str:
    works = [(run.work, run.load.ok) for run in runs if run.work is not None]
    line = f"- {name}: {_median(runs, applied_rate):.0f} trainings applied/s"
    if not works:
        return line
    meanwhile = statistics.median(work.applied_while_loaded / max(ok, 1) for work, ok in works)
    after = statistics.median(work.caught_up_after for work, _ in works)
    left = sum(ok > work.applied for work, ok in works)
    late = f"; not done within that time in {left} of {len(works)} rounds" if left else ""
    return f"{line}, {meanwhile:.0%} of the answered ones during the load, the rest in {after:.1f} s after it{late}"


def _durable_lines(runs: Sequence[Run]) -> Iterable[str]:
    kept = [run.stored for run in runs if run.stored is not None]
    yield (
        f"- durable: {sum(stored.answered for stored in kept)} request ids answered 2xx, "
        f"{sum(stored.missing for stored in kept)} of them without their row, byte for byte, on disk"
    )
    if again := [run.design for run in runs if run.load.wrapped and not run.design.startswith("FastAPI")]:
        yield f"- WARNING: the file was too short, ids came again in: {', '.join(again)}"
    if any(run.load.wrk_cores > 0.9 for run in runs):
        yield "- WARNING: wrk itself used more than 0.9 of a core, so it may be what limited"


def _missing(run: Run) -> int:
    return run.stored.missing if run.stored is not None else 0


def _of(runs: Sequence[Run], name: str) -> list[Run]:
    return [run for run in runs if run.design == name]


def _median(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return statistics.median(value(run) for run in runs)


def spread(values: Sequence[float], digits: int) -> str:
    """Write a median, with the extremes where there is more than one value."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"
