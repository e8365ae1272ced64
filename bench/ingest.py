"""How much the webhook takes, next to two baselines and a version before, in one run: `python -m bench.ingest`."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from bench.designs import GROUPS, Design, Kind, chosen
from bench.front import NGINX
from bench.report import as_json, machine, markdown
from bench.shelf import durable_postgres
from bench.standing import measure_standing
from bench.starting import twins
from bench.targets import targets
from bench.turns import Bench, Run
from bench.versions import OURS, BuildFailed, Version, build

STARTS, REST_SECONDS = 5, 10
PAUSE = 8.0  # s
SIGNED_FOR = 150.0  # s after which what is sent is signed anew; a signature is good for 300


def main() -> int:
    """Measure, print the report, and return 0 when every target was met, else 1; 2 when something is missing."""
    arguments = _parse()
    designs = chosen(arguments.designs, before=arguments.before is not None)
    if missing := _missing(designs):
        sys.stderr.write(f"{', '.join(missing)} missing: apt-get install {' '.join(missing)}\n")
        return 2
    versions: dict[Kind, Version] = {"ours": OURS}
    if arguments.before is not None:
        try:
            versions["before"] = build(arguments.before)
        except BuildFailed as failed:
            sys.stderr.write(f"{arguments.before} could not be built: {failed}\n")
            return 2
    rounds, starts, rest = (1, 1, 3) if arguments.quick else (arguments.rounds, STARTS, REST_SECONDS)
    pause = 0.0 if arguments.quick else PAUSE
    seconds = min(arguments.seconds, 3) if arguments.quick else arguments.seconds
    began, busy_before = time.monotonic(), os.getloadavg()[0]
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=arguments.scratch))
        twin = stack.enter_context(twins(Path(name)))
        postgres = cache(lambda: stack.enter_context(durable_postgres()))
        standing = measure_standing(Path(name), twin, versions, times=starts, seconds=rest)
        bench = Bench(
            Path(name), twin, versions, postgres, seconds=seconds, connections=arguments.connections, pause=pause
        )
        runs = _rounds(bench, designs, rounds)
    held = targets(runs, standing)
    how = {
        "rounds": rounds,
        "seconds": seconds,
        "connections": arguments.connections,
        "before": arguments.before,
        "machine": machine(),
        "load_average": (busy_before, os.getloadavg()[0]),
        "took_seconds": round(time.monotonic() - began),
    }
    print(markdown(runs, designs, standing, held, how))
    if arguments.json is not None:
        result = json.dumps(as_json(runs, standing, held, how), indent=2, ensure_ascii=False)
        arguments.json.write_text(result + "\n", encoding="utf-8")
    return 0 if all(target.met for target in held) else 1


def _rounds(bench: Bench, designs: Sequence[Design], rounds: int) -> list[Run]:
    runs: list[Run] = []
    for turn in range(rounds):
        deliveries, signed = bench.prepare_round(), time.monotonic()
        _say(f"round {turn + 1}/{rounds}: {deliveries.signed_per_second:.0f} deliveries signed per second")
        for design in designs:
            if time.monotonic() - signed > SIGNED_FOR:
                deliveries, signed = bench.prepare_round(), time.monotonic()
            run = bench.measure(design, deliveries)
            runs.append(run)
            _say(
                f"  {run.design:<50} {run.load.requests_per_second:7.0f} answers/s  p50 {run.load.p50_ms:6.1f}  "
                f"p99 {run.load.p99_ms:6.1f} ms  {run.load.server_cpu_us:5.0f} µs  not 2xx {run.load.non_2xx}"
            )
    return runs


def _missing(designs: Sequence[Design]) -> list[str]:
    needed = {
        "wrk": shutil.which("wrk"),
        "nginx": NGINX if any(design.front for design in designs) else "not needed",
        "strace": shutil.which("strace") if any(design.fsync_ms for design in designs) else "not needed",
    }
    return [program for program, path in needed.items() if path is None]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ingest", description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, choices=range(1, 61), metavar="1..60", help="of each load")
    parser.add_argument("--connections", type=int, default=64, choices=range(1, 1025), metavar="1..1024")
    parser.add_argument("--rounds", type=int, default=3, choices=range(1, 21), metavar="1..20")
    parser.add_argument("--quick", action="store_true", help="one round of at most 3 s: to see that it works")
    parser.add_argument("--json", type=Path, help="where to write every figure")
    parser.add_argument("--before", metavar="COMMIT", help="measure this version too, in the same turns")
    parser.add_argument(
        "--designs",
        type=_groups,
        default=["default"],
        metavar="GROUP,…",
        help=f"what is measured: all, or some of {', '.join(GROUPS)}",
    )
    parser.add_argument(
        "--scratch", type=Path, help="folder on the disk to measure; the system's own for such by default"
    )
    return parser.parse_args()


def _groups(said: str) -> list[str]:
    groups = list(GROUPS) if said == "all" else said.split(",")
    if unknown := set(groups) - set(GROUPS):
        raise argparse.ArgumentTypeError(f"no such group: {', '.join(sorted(unknown))}")
    return groups


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
