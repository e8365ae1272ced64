"""From measurements to figures: tables, targets, JSON."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from sqlite3 import sqlite_version
from typing import Any

from bench.drain_claim import Claims
from bench.drain_turns import Applied, Told, Ways
from bench.report import Target, spread, target_table

APPLIED, TOLD, WAY_P95, CLAIM_RATIO, IDLE, POISON = 1500, 300, 150, 1.3, 1, 1.5


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

    def slowdown(self, engine: str) -> float:
        """Return how much longer a backlog with poison takes than one without, by medians."""
        clean = statistics.median(one.seconds / one.rows for one in self.applied if one.engine == engine)
        sick = statistics.median(one.seconds / one.rows for one in self.poisoned if one.engine == engine)
        return sick / clean

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
        told = {
            processes: [one.per_second for one in found.told if (one.engine, one.processes) == (engine, processes)]
            for processes in (1, 2)
        }
        ways = [way for one in found.ways if one.engine == engine for way in one.from_ack]
        ratio = statistics.median(one.ratio() for one in found.claims if one.engine == engine)
        applied = statistics.median(one.per_second for one in found.applied if one.engine == engine)
        one = statistics.median(told[1])
        held += [
            Target(f"applied/s, one process, {engine}", applied, "/s", APPLIED, at_least=True),
            Target(f"told/s, one process, {engine}", one, "/s", TOLD, at_least=True),
            Target(f"ack → Bot API call when idle, p95, {engine}", part(ways, 0.95), "ms", WAY_P95, at_least=False),
            Target(f"claim among many finished rows : none, {engine}", ratio, "×", CLAIM_RATIO, at_least=False),
            Target(f"idle CPU, {engine}", statistics.median(found.idle[engine]), "%", IDLE, at_least=False),
            Target(f"drain with poison : without, {engine}", found.slowdown(engine), "×", POISON, at_least=False),
        ]
        if told[2]:
            gain = statistics.median(told[2]) / one
            held.append(Target(f"told/s, two processes : one, {engine}", gain, "×", 1, at_least=True))
    repeats = sum(one.calls - one.rows for one in found.told)
    return [*held, Target("messages told twice", repeats, "", 0, at_least=False)]


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

    return [
        row("applied/s, the real server", {e: of(found.applied, e, "per_second") for e in engines}),
        row("… first fifth of the backlog", {e: of(found.applied, e, "first_fifth") for e in engines}),
        row("… last fifth", {e: of(found.applied, e, "last_fifth") for e in engines}),
        row("applied/s, two workers", {e: of(found.together, e, "per_second") for e in engines}),
        row("applied/s, one row in 1,000 poison", {e: of(found.poisoned, e, "per_second") for e in engines}),
        row("a poison row adds, ms", {e: f"{found.poison_ms(e):.0f}" for e in engines}),
        row("told/s, unpaced, one process", {e: of(found.told, e, "per_second", processes=1) for e in engines}),
        row("… CPU per message, µs", {e: of(found.told, e, "cpu_us", processes=1) for e in engines}),
        row("told/s, unpaced, two processes", {e: of(found.told, e, "per_second", processes=2) for e in engines}),
        row("ack → Bot API call, p50, ms", {e: _ways(found, e, "from_ack", 0.5) for e in engines}),
        row("ack → Bot API call, p95, ms", {e: _ways(found, e, "from_ack", 0.95) for e in engines}),
        row("connect, TLS, 200, p50, ms", {e: _ways(found, e, "ack", 0.5) for e in engines}),
        row("claim of 100, no finished rows, ms", {e: _claims(found, e, "among_none") for e in engines}),
        row(f"claim of 100, {_finished(found)} finished, ms", {e: _claims(found, e, "among_many") for e in engines}),
        row("idle, % of one core", {e: spread(found.idle[e], 2) for e in engines}),
    ]


def _ways(found: Found, engine: str, value: str, share: float) -> str:
    return spread([part(getattr(one, value), share) for one in found.ways if one.engine == engine], 1)


def _claims(found: Found, engine: str, value: str) -> str:
    return spread([statistics.median(getattr(one, value)) for one in found.claims if one.engine == engine], 1)


def _finished(found: Found) -> str:
    return f"{found.claims[0].finished:,}"
