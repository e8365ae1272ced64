"""`python -m tests.simulation --seed 1 --days 2`: run worlds, tell what became of them."""

import argparse
import sys
import time
from pathlib import Path

from tests.simulation import virtual_time

virtual_time.install()

from tests.simulation.run import Report, run  # noqa: E402  time first
from tests.simulation.world import Plan  # noqa: E402  as above


def main() -> int:
    """Run what the arguments name; return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(prog="simulate")
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--days", type=float, default=2)
    parser.add_argument("--trainings", type=float, default=200, help="a day")
    parser.add_argument("--troubles", type=float, default=12, help="a day")
    parser.add_argument("--log", type=Path)
    given = parser.parse_args()
    failures = 0
    for seed in given.seed:
        report = run(Plan.of(seed, given.days, given.trainings, given.troubles), log_path=given.log)
        show(report)
        failures += report.violation is not None
    return int(failures > 0)


def show(report: Report) -> None:
    """Print one report."""
    print(
        f"seed {report.plan.seed}: {report.at:.2f} days, {report.trainings} trainings, {report.told} messages, "
        f"{report.commits} commits, {report.posts} posts, {report.starts} starts, {report.lines} events, "
        f"{report.seconds:.1f} s, {report.digest[:16]}",
        flush=True,
    )
    if report.violation is not None:
        print(f"BROKEN {report.violation} ({report.violation.request_id})")
        print("\n".join(report.last))
        print("\n".join(report.story))


if __name__ == "__main__":
    sys.exit(main())
