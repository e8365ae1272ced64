"""From measurements to figures: tables, targets, JSON."""

import os
import platform
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from sqlite3 import sqlite_version
from typing import Any

from bench.drain_claim import Claims
from bench.drain_growth import Growth, grown_ratio
from bench.drain_turns import Applied, Told, Ways
from bench.figures import spread
from bench.targets import Target, target_table

APPLIED, TOLD, TOLD_CPU, WAY_P95, GROWN, IDLE, POISON = 1500, 300, 650, 150, 1.2, 0.4, 1.5
GROWTH = (  # how each of its figures is written
    ("claim of a batch", "ms", "claim_ms", 1),
    ("apply", "µs per row", "apply_us", 0),
    ("apply, CPU with the start", "µs per row", "cpu_us", 0),
)
APPLIED_BEFORE, TOLD_BEFORE = 1.8, 2  # × the version before


@dataclass(slots=True)
class Found:
    """Everything one run measured."""

    applied: list[Applied] = field(default_factory=list)
    together: list[Applied] = field(default_factory=list)  # several processes
    poisoned: list[Applied] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    ways: list[Ways] = field(default_factory=list)
    claims: list[Claims] = field(default_factory=list)
    idle: dict[str, list[float]] = field(default_factory=dict)
    growth: list[Growth] = field(default_factory=list)
    before: "Found | None" = None  # applied and told of the version before

    def slowdown(self, engine: str) -> float:
        """Return how much longer a backlog with poison takes than one without, by medians."""
        clean = statistics.median(one.seconds / one.rows for one in self.applied if one.engine == engine)
        sick = statistics.median(one.seconds / one.rows for one in self.poisoned if one.engine == engine)
        return sick / clean

    def applied_rates(self, engine: str) -> list[float]:
        """Return the rows applied per second by one process, one per round."""
        return [one.per_second for one in self.applied if one.engine == engine]

    def told_by_one(self, engine: str, value: str) -> list[float]:
        """Return a figure of one telling process, one per round."""
        return [getattr(one, value) for one in self.told if (one.engine, one.processes) == (engine, 1)]

    def poison_ms(self, engine: str) -> float:
        """Return what one poison row adds to the drain, in milliseconds."""
        clean = statistics.median(one.seconds for one in self.applied if one.engine == engine)
        sick = statistics.median(one.seconds for one in self.poisoned if one.engine == engine)
        amount = next(one.poisoned for one in self.poisoned if one.engine == engine)
        return (sick - clean) / amount * 1e3


def targets(found: Found) -> list[Target]:
    """Hold the measurements against what was promised."""
    held = []
    for engine in ("SQLite", "PostgreSQL"):
        two = [one.per_second for one in found.told if (one.engine, one.processes) == (engine, 2)]
        ways = [way for one in found.ways if one.engine == engine for way in one.from_ack]
        ratio = statistics.median(one.ratio() for one in found.claims if one.engine == engine)
        applied = statistics.median(found.applied_rates(engine))
        one = statistics.median(found.told_by_one(engine, "per_second"))
        cpu = statistics.median(found.told_by_one(engine, "cpu_us"))
        held += [
            Target(f"applied/s, one process, {engine}", applied, "/s", APPLIED, at_least=True),
            Target(f"told/s, one process, {engine}", one, "/s", TOLD, at_least=True),
            Target(f"CPU per message told, {engine}", cpu, "µs", TOLD_CPU, at_least=False),
            Target(f"ack → Bot API call when idle, p95, {engine}", part(ways, 0.95), "ms", WAY_P95, at_least=False),
            Target(f"claim among many finished rows : none, {engine}", ratio, "×", GROWN, at_least=False),
            Target(f"idle CPU, {engine}", statistics.median(found.idle[engine]), "%", IDLE, at_least=False),
            Target(f"drain with poison : without, {engine}", found.slowdown(engine), "×", POISON, at_least=False),
        ]
        if two:
            gain = statistics.median(two) / one
            held.append(Target(f"told/s, two processes : one, {engine}", gain, "×", 1, at_least=True))
        held += [*_to_before(found, engine), *_grown(found, engine)]
    repeats = sum(one.calls - one.rows for one in found.told)
    return [*held, Target("messages told twice", repeats, "", 0, at_least=False)]


def _to_before(found: Found, engine: str) -> Iterator[Target]:
    if (before := found.before) is None:
        return
    applied = _ratio(found.applied_rates(engine), before.applied_rates(engine))
    told = _ratio(found.told_by_one(engine, "per_second"), before.told_by_one(engine, "per_second"))
    yield Target(f"applied/s : before, {engine}", applied, "×", APPLIED_BEFORE, at_least=True)
    yield Target(f"told/s : before, {engine}", told, "×", TOLD_BEFORE, at_least=True)


def _ratio(ours: Sequence[float], before: Sequence[float]) -> float:
    return statistics.median(mine / theirs for mine, theirs in zip(ours, before, strict=True))


def _grown(found: Found, engine: str) -> Iterator[Target]:
    if not found.growth:
        return
    for what, value in (("claim", "claim_ms"), ("apply", "apply_us")):
        finished, ratio = grown_ratio(found.growth, engine, value)
        yield Target(f"{what} beside {finished:,} finished rows : none, {engine}", ratio, "×", GROWN, at_least=False)


def markdown(found: Found, held: Sequence[Target], how: dict[str, Any]) -> str:
    """Write the report."""
    return "\n".join(
        [
            f"{how['rows']} deliveries with known trainings, {how['rounds']} rounds; median (lowest–highest).",
            "",
            "| | SQLite | PostgreSQL |",
            "|---|--:|--:|",
            *(f"| {name} | {' | '.join(cells)} |" for name, cells in _rows(found)),
            "",
            *target_table(held),
            "",
            f"Machine: {how['machine']}",
        ]
    )


def as_json(found: Found, held: Sequence[Target], how: dict[str, Any]) -> dict[str, Any]:
    """Return everything measured, for a program."""
    return {**how, "found": asdict(found), "targets": [{**asdict(target), "met": target.met} for target in held]}


def machine() -> str:
    """Describe what it ran on, and how busy it was with other things."""
    load = " ".join(f"{figure:.1f}" for figure in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {sqlite_version}; load average at the end {load}"
    )


def part(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all lie below."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def _rows(found: Found) -> list[tuple[str, list[str]]]:
    engines = ("SQLite", "PostgreSQL")

    def row(name: str, per_engine: dict[str, str]) -> tuple[str, list[str]]:
        return name, [per_engine.get(engine, "—") for engine in engines]

    def of(runs: Sequence[Any], engine: str, value: str, digits: int = 0, **more: object) -> str:
        chosen = [run for run in runs if run.engine == engine and all(getattr(run, k) == v for k, v in more.items())]
        return spread([getattr(run, value) for run in chosen], digits) if chosen else "—"

    before: list[tuple[str, list[str]]] = []
    if (older := found.before) is not None:
        before = [
            row("before: applied/s", {e: of(older.applied, e, "per_second") for e in engines}),
            row("before: CPU per row applied, µs", {e: of(older.applied, e, "cpu_us") for e in engines}),
            row("before: told/s, one process", {e: of(older.told, e, "per_second") for e in engines}),
            row("before: CPU per message, µs", {e: of(older.told, e, "cpu_us") for e in engines}),
        ]
    grown = [
        row(f"{what} beside {size:,} finished, {unit}", {e: _growth(found, e, size, value, digits) for e in engines})
        for what, unit, value, digits in GROWTH
        for size in sorted({one.finished for one in found.growth})
    ]
    return [
        row("applied/s, the real server", {e: of(found.applied, e, "per_second") for e in engines}),
        row("… first fifth of the backlog", {e: of(found.applied, e, "first_fifth") for e in engines}),
        row("… last fifth", {e: of(found.applied, e, "last_fifth") for e in engines}),
        row("… CPU per row, start included, µs", {e: of(found.applied, e, "cpu_us") for e in engines}),
        row("applied/s, two workers", {e: of(found.together, e, "per_second") for e in engines}),
        row("applied/s, one row in 1,000 poison", {e: of(found.poisoned, e, "per_second") for e in engines}),
        row("a poison row adds, ms", {e: f"{found.poison_ms(e):.0f}" for e in engines}),
        row("told/s, unpaced, one process", {e: of(found.told, e, "per_second", processes=1) for e in engines}),
        row("… CPU per message, µs", {e: of(found.told, e, "cpu_us", processes=1) for e in engines}),
        row("told/s, unpaced, two processes", {e: of(found.told, e, "per_second", processes=2) for e in engines}),
        row("ack → Bot API call, p50, ms", {e: _ways(found, e, "from_ack", 0.5) for e in engines}),
        row("ack → Bot API call, p95, ms", {e: _ways(found, e, "from_ack", 0.95) for e in engines}),
        row("connect, TLS, 200, p50, ms", {e: _ways(found, e, "ack", 0.5) for e in engines}),
        row("claim of a batch, no finished rows, ms", {e: _claims(found, e, "among_none") for e in engines}),
        row(
            f"claim of a batch, {_finished(found)} finished, ms", {e: _claims(found, e, "among_many") for e in engines}
        ),
        row("idle, % of one core", {e: spread(found.idle[e], 2) for e in engines}),
        *before,
        *grown,
    ]


def _ways(found: Found, engine: str, value: str, share: float) -> str:
    return spread([part(getattr(one, value), share) for one in found.ways if one.engine == engine], 1)


def _claims(found: Found, engine: str, value: str) -> str:
    return spread([statistics.median(getattr(one, value)) for one in found.claims if one.engine == engine], 1)


def _growth(found: Found, engine: str, finished: int, value: str, digits: int) -> str:
    (one,) = [one for one in found.growth if (one.engine, one.finished) == (engine, finished)]
    values = getattr(one, value)
    return spread([statistics.median(values)] if value == "claim_ms" else values, digits)


def _finished(found: Found) -> str:
    return f"{found.claims[0].finished:,}"
