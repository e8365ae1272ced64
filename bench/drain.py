"""How fast a backlog becomes avatars and messages: `python -m bench.drain`.

Applied: the real server, at its default settings, started on a backlog; the pace is read from the rows' own
`finished_at`. Told: the worker's notify job in a process of its own, unpaced (bench/drain_worker.py), against the
Telegram twin in another; the pace is that of the calls which the twin saw. PostgreSQL runs with its defaults, SQLite
with `synchronous=FULL`: every commit waits for the disk.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from bench.drain_books import Shelf, durable_postgres
from bench.drain_claim import claims
from bench.drain_report import Found, as_json, machine, markdown, targets
from bench.drain_server import Stage
from bench.drain_turns import apply_by_server, apply_by_workers, rest, single_ways, tell
from bench.starting import twins


def main() -> int:
    """Measure, print the report, and return 0 when every target was met, else 1."""
    arguments = _parse()
    quick = arguments.quick
    rows, rounds, singles, finished, turns, idle = (
        (2_000, 1, 20, 50_000, 20, 5.0) if quick else (10_000, arguments.rounds, 100, 1_000_000, 100, 20.0)
    )
    began, found = time.monotonic(), Found()
    with (
        tempfile.TemporaryDirectory(prefix="bench-drain-", ignore_cleanup_errors=True) as name,
        durable_postgres() as postgres,
        twins(Path(name)) as twin,
    ):
        stage = Stage(Path(name), twin)
        shelves = [Shelf(engine, Path(name), postgres) for engine in ("SQLite", "PostgreSQL")]
        for _ in range(rounds):
            for shelf in shelves:
                _drain(stage, shelf, rows, found)
        for shelf in shelves:
            found.ways.append(single_ways(stage, shelf, singles))
            found.idle[shelf.engine] = [rest(stage, shelf, idle)]
            found.claims.append(claims(shelf, finished, turns))
            _say(f"{shelf.engine}: single ways, rest and claims done")
    held = targets(found)
    how = {"rows": rows, "rounds": rounds, "machine": machine(), "took_seconds": round(time.monotonic() - began)}
    print(markdown(found, held, how))
    if arguments.json is not None:
        result = json.dumps(as_json(found, held, how), indent=2, ensure_ascii=False)
        arguments.json.write_text(result + "\n", encoding="utf-8")
    return 0 if all(target.met for target in held) else 1


def _drain(stage: Stage, shelf: Shelf, rows: int, found: Found) -> None:
    applied, books = apply_by_server(stage, shelf, rows)
    found.applied.append(applied)
    found.poisoned.append(apply_by_server(stage, shelf, rows, poisoned=max(rows // 1_000, 2))[0])
    told = tell(stage, books, amount=rows // 4, processes=1)
    found.told.append(told)
    _say(f"{shelf.engine}: applied {applied.per_second:.0f}/s, with poison {found.poisoned[-1].per_second:.0f}/s")
    if shelf.engine == "PostgreSQL":
        found.told.append(tell(stage, books, amount=rows // 4, processes=2))
        found.together.append(apply_by_workers(stage, shelf, rows, 2))
    _say(f"{shelf.engine}: told {' and '.join(f'{one.per_second:.0f}' for one in found.told[-2:])}/s")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.drain", description="applied, told, latency, claims, rest")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 11), metavar="1..10", help="of each drain")
    parser.add_argument("--quick", action="store_true", help="2,000 rows, one round: to see that it works")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
