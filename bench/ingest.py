"""How much the webhook takes, next to two baselines, in one run on one machine: `python -m bench.ingest`."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from bench.designs import DESIGNS
from bench.report import as_json, machine, markdown, targets
from bench.starting import twins
from bench.turns import Bench, Run

IDLE_SECONDS = 10


def main() -> int:
    """Measure, print the report, and return 0 when every target was met, else 1."""
    arguments = _parse()
    if shutil.which("wrk") is None:
        sys.stderr.write("wrk is missing: apt-get install wrk\n")
        return 2
    rounds, starts_wanted = (1, 2) if arguments.quick else (arguments.rounds, 5)
    seconds = min(arguments.seconds, 3) if arguments.quick else arguments.seconds
    began, busy_before = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.scratch) as name, twins(Path(name)) as twin:
        bench = Bench(Path(name), twin, seconds=seconds, connections=arguments.connections)
        starts = bench.starts(starts_wanted)
        idle = bench.idle(IDLE_SECONDS if not arguments.quick else 3)
        runs: list[Run] = []
        for turn in range(rounds):
            deliveries, known, unknown = bench.prepare_round()
            _say(f"round {turn + 1}/{rounds}: {deliveries.signed_per_second:.0f} deliveries signed per second")
            for design in DESIGNS:
                run = bench.measure(design, deliveries, known, unknown)
                runs.append(run)
                _say(
                    f"  {run.design:<34} {run.load.requests_per_second:7.0f} answers/s  p50 {run.load.p50_ms:6.1f}  "
                    f"p99 {run.load.p99_ms:6.1f} ms  not 2xx {run.load.non_2xx}"
                )
    held = targets(runs, starts)
    how = {
        "rounds": rounds,
        "seconds": seconds,
        "connections": arguments.connections,
        "machine": machine(),
        "load_average": (busy_before, os.getloadavg()[0]),
        "took_seconds": round(time.monotonic() - began),
    }
    print(markdown(runs, starts, idle, held, how))
    if arguments.json is not None:
        result = json.dumps(as_json(runs, starts, idle, held, how), indent=2, ensure_ascii=False)
        arguments.json.write_text(result + "\n", encoding="utf-8")
    return 0 if all(target.met for target in held) else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, choices=range(1, 61), metavar="1..60", help="of each load")
    parser.add_argument("--connections", type=int, default=64, choices=range(1, 1025), metavar="1..1024")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--quick", action="store_true", help="one round of at most 3 s: to see that it works")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    parser.add_argument(
        "--scratch", type=Path, help="folder on the disk to measure; the system's own for such by default"
    )
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
