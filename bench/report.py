"""The report of one run: Markdown to read, JSON to compute with."""

import platform
import ssl
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from sqlite3 import sqlite_version
from typing import Any

from bench import designs as d
from bench.figures import Value, applied_rate, cpu, median, of, p99, rate, ratio, rss, spread
from bench.standing import Standing
from bench.targets import FRONTS, Target, target_table
from bench.turns import Run

LIBRARIES = ("fastapi", "starlette", "uvicorn", "httptools", "uvloop", "sqlalchemy", "pynacl", "orjson")
COMPARED: tuple[tuple[str, Value], ...] = (
    ("answers/s", rate),
    ("CPU per answer", cpu),
    ("p99", p99),
    ("RSS peak", rss),
)


def markdown(
    runs: Sequence[Run],
    designs: Sequence[d.Design],
    standing: Mapping[d.Kind, Standing],
    held: Sequence[Target],
    how: dict[str, Any],
) -> str:
    """Write the whole result."""
    return "\n".join(
        [
            (
                f"{how['rounds']} rounds in turns, {how['seconds']} s each, {how['connections']} connections; "
                "medians (lowest–highest)."
            ),
            "",
            "| design | answers/s | p50 ms | p99 ms | not 2xx | errors | CPU µs/answer | RSS MiB | PSS MiB |",
            "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
            *(_row(design.name, of(runs, design)) for design in designs),
            "",
            *_ratio_lines(runs),
            *_before_lines(runs, designs),
            *_worker_lines(runs, designs),
            *_durable_lines(runs),
            *(_standing_line(kind, one) for kind, one in standing.items()),
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
    runs: Sequence[Run], standing: Mapping[d.Kind, Standing], held: Sequence[Target], how: dict[str, Any]
) -> dict[str, Any]:
    """Return everything measured, for a program."""
    return {
        **how,
        "runs": [asdict(run) for run in runs],
        "standing": {kind: asdict(one) for kind, one in standing.items()},
        "targets": [{**asdict(target), "met": target.met} for target in held],
    }


def _row(name: str, runs: Sequence[Run]) -> str:
    cells = [
        spread([rate(run) for run in runs], 0),
        spread([run.load.p50_ms for run in runs], 1),
        spread([p99(run) for run in runs], 1),
        str(sum(run.load.non_2xx for run in runs)),
        str(sum(run.load.socket_errors + run.load.timeouts for run in runs)),
        spread([cpu(run) for run in runs], 0),
        f"{max(run.rss_peak_mib for run in runs):.0f}",
        f"{max(run.pss_peak_mib for run in runs):.0f}",
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _ratio_lines(runs: Sequence[Run]) -> Iterator[str]:
    ways = [*FRONTS, (f"{d.MANY} connections", d.OURS_MANY, d.ECHO_MANY)]
    for what, ours, echo in ways:
        if (share := ratio(runs, ours, echo, rate)) is not None:
            yield (
                f"- ours : echo over {what}: **{share:.2f}** of its answers/s, {ratio(runs, ours, echo, cpu):.2f} "
                f"of its CPU per answer, {ratio(runs, ours, echo, p99):.2f} of its p99"
            )
    if (share := ratio(runs, d.OURS, d.PLAIN, rate)) is not None:
        yield (
            f"- ours : plain design: **{share:.1f}** × its answers/s, "
            f"**{ratio(runs, d.OURS, d.PLAIN, applied_rate):.1f}** × its trainings applied/s"
        )


def _before_lines(runs: Sequence[Run], designs: Iterable[d.Design]) -> Iterator[str]:
    for design in designs:
        before = d.as_before(design)
        if design.kind == "ours" and of(runs, before):
            shares = [f"{name} {ratio(runs, design, before, value):.2f}" for name, value in COMPARED]
            yield f"- {design.name}, to the version before: {', '.join(shares)}"


def _worker_lines(runs: Sequence[Run], designs: Iterable[d.Design]) -> Iterator[str]:
    for design in designs:
        mine = of(runs, design)
        works = [(run.work, run.load.ok) for run in mine if run.work is not None]
        if not works:
            continue
        meanwhile = statistics.median(work.applied_while_loaded / max(ok, 1) for work, ok in works)
        after = statistics.median(work.caught_up_after for work, _ in works)
        left = sum(ok > work.applied for work, ok in works)
        late = f"; not done within that time in {left} of {len(works)} rounds" if left else ""
        yield (
            f"- {design.name}: {median(mine, applied_rate):.0f} trainings applied/s, {meanwhile:.0%} of the answered "
            f"ones during the load, the rest in {after:.1f} s after it{late}"
        )


def _durable_lines(runs: Sequence[Run]) -> Iterator[str]:
    kept = [run.stored for run in runs if run.stored is not None]
    yield (
        f"- durable: {sum(stored.answered for stored in kept)} request ids answered 2xx, "
        f"{sum(stored.missing for stored in kept)} of them without their row, byte for byte, on disk"
    )
    if again := sorted({run.design for run in runs if run.load.wrapped and not run.design.startswith("FastAPI")}):
        yield f"- WARNING: the file was too short, ids came again in: {', '.join(again)}"
    if any(run.load.wrk_cores > 0.9 for run in runs):
        yield "- WARNING: wrk itself used more than 0.9 of a core, so it may be what limited"


def _standing_line(kind: str, standing: Standing) -> str:
    starts, rest = standing.starts, standing.rest
    return (
        f"- {kind}: ready on a fresh database in {spread(starts.fresh, 2)} s, on an existing one in "
        f"{spread(starts.existing, 2)} s; then {spread(starts.rss_mib, 0)} MiB RSS, {spread(starts.pss_mib, 0)} PSS; "
        f"at rest {spread(rest.rss_mib, 0)} MiB RSS, {spread(rest.pss_mib, 0)} PSS, "
        f"{spread(rest.cpu_percent, 2)} % of one core"
    )
