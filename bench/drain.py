"""How fast a backlog becomes avatars and messages: `python -m bench.drain`.

Applied: the real server, at its default settings, started on a backlog; the pace is read from the rows' own
`finished_at`. Told: the worker's notify job in a process of its own, unpaced (bench/drain_worker.py), against a Bot
API in another that takes everything (bench/bot_api.py); the pace is that of the calls which it saw. PostgreSQL runs
with its defaults, SQLite with `synchronous=FULL`: every commit waits for the disk. `--before` measures applied and told
of another commit, in turns with ours, by that commit's own bench/drain_books.py and bench/drain_worker.py.
"""

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from bench.bot_api import bot_api
from bench.drain_claim import claims
from bench.drain_growth import SIZES, grow
from bench.drain_report import Found, as_json, machine, markdown, targets
from bench.drain_server import Stage
from bench.drain_turns import apply_by_server, apply_by_workers, rest, single_ways, tell
from bench.shelf import Shelf, durable_postgres
from bench.starting import twins
from bench.versions import OURS, BuildFailed, build

ENGINES = ("SQLite", "PostgreSQL")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything."""

    rows: int
    rounds: int
    singles: int
    finished: int
    claims: int
    idle_seconds: float


FULL = Size(rows=10_000, rounds=3, singles=100, finished=1_000_000, claims=100, idle_seconds=20.0)
QUICK = Size(rows=2_000, rounds=1, singles=20, finished=50_000, claims=20, idle_seconds=5.0)


def main() -> int:
    """Measure, print the report, and return 0 when every target was met, else 1; 2 when a version is not to be had."""
    arguments = _parse()
    size = QUICK if arguments.quick else replace(FULL, rounds=arguments.rounds)
    versions = [OURS]
    if arguments.before is not None:
        try:
            versions.append(build(arguments.before))
        except BuildFailed as failed:
            sys.stderr.write(f"{arguments.before} could not be built: {failed}\n")
            return 2
    began, found = time.monotonic(), Found(before=Found() if arguments.before else None)
    with (
        tempfile.TemporaryDirectory(prefix="bench-drain-", ignore_cleanup_errors=True) as name,
        durable_postgres() as postgres,
        twins(Path(name)) as twin,
        bot_api(Path(name)) as telegram,
    ):
        stages = [Stage(Path(name), replace(twin, telegram=telegram), version) for version in versions]
        for _ in range(size.rounds):
            for engine in ENGINES:
                for stage in stages:
                    _drain(stage, Shelf(engine, Path(name), postgres, stage.version), size.rows, found)
        for shelf in [Shelf(engine, Path(name), postgres) for engine in ENGINES]:
            _others(stages[0], shelf, size, found)
            if arguments.growth:
                sizes = SIZES[:2] if arguments.quick else SIZES
                found.growth += grow(
                    stages[0], shelf, sizes=sizes, rows=size.rows, rounds=size.rounds, turns=size.claims
                )
                _say(f"{shelf.engine}: growth done")
    held = targets(found)
    how = {
        "rows": size.rows,
        "rounds": size.rounds,
        "before": arguments.before,
        "machine": machine(),
        "took_seconds": round(time.monotonic() - began),
    }
    print(markdown(found, held, how))
    if arguments.json is not None:
        result = json.dumps(as_json(found, held, how), indent=2, ensure_ascii=False)
        arguments.json.write_text(result + "\n", encoding="utf-8")
    return 0 if all(target.met for target in held) else 1


def _drain(stage: Stage, shelf: Shelf, rows: int, everything: Found) -> None:
    ours = stage.version is OURS
    found = everything if ours or everything.before is None else everything.before
    applied, books = apply_by_server(stage, shelf, rows)
    found.applied.append(applied)
    found.told.append(tell(stage, books, amount=rows // 4, processes=1))
    _say(
        f"{stage.version.name}, {shelf.engine}: applied {applied.per_second:.0f}/s, told "
        f"{found.told[-1].per_second:.0f}/s at {found.told[-1].cpu_us:.0f} µs"
    )
    if not ours:
        return
    found.poisoned.append(apply_by_server(stage, shelf, rows, poisoned=max(rows // 1_000, 2))[0])
    if shelf.engine == "PostgreSQL":
        found.told.append(tell(stage, books, amount=rows // 4, processes=2))
        found.together.append(apply_by_workers(stage, shelf, rows, 2))


def _others(stage: Stage, shelf: Shelf, size: Size, found: Found) -> None:
    found.ways.append(single_ways(stage, shelf, size.singles))
    found.idle[shelf.engine] = [rest(stage, shelf, size.idle_seconds)]
    found.claims.append(claims(shelf, size.finished, size.claims))
    _say(f"{shelf.engine}: single ways, rest and claims done")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.drain", description="applied, told, latency, claims, rest")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10", help="of each drain")
    parser.add_argument("--quick", action="store_true", help="2,000 rows, one round: to see that it works")
    parser.add_argument("--before", metavar="COMMIT", help="measure this version's applied and told too, in turns")
    parser.add_argument(
        "--growth", action="store_true", help="claim and apply beside 0, 100,000 and 1,000,000 finished rows"
    )
    parser.add_argument("--json", type=Path, help="where to write every figure")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
