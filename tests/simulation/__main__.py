"""`python -m tests.simulation --seed 1 --days 2`: run worlds, tell what became of them."""

import argparse
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.simulation import virtual_time

virtual_time.install()

from tests.simulation.apart import run_apart  # noqa: E402  time first
from tests.simulation.plan import Plan  # noqa: E402  as above
from tests.simulation.planted import BUGS  # noqa: E402  as above
from tests.simulation.run import Report  # noqa: E402  as above
from tests.simulation.smaller import shrink  # noqa: E402  as above

FEW = 12  # troubles and trainings of a plan that are shown one by one


def main() -> int:
    """Run what the arguments name; return 1 where a promise was broken, or a planted bug was not found."""
    given = _arguments()
    if not given.postgresql:
        return _walk(given, None)
    from tests.postgres import start_postgres  # noqa: PLC0415  SQLite need not pay for its driver

    with start_postgres() as server:
        return _walk(given, server)


def _walk(given: argparse.Namespace, server: str | None) -> int:
    drawn = [Plan.of(seed, given.days, given.trainings, given.troubles).with_acts(given.acts) for seed in given.seed]
    plans = [replace(plan, server=server) for plan in drawn]
    if given.planted:
        names = sorted(BUGS) if given.planted == "all" else [given.planted]
        found = [_is_found(name, plans, given.smaller) for name in names]
        return int(not all(found))
    failures = 0
    for plan in plans:
        report = run_apart(plan, given.log)
        show(report)
        if report.violation is not None:
            failures += 1
            if given.smaller:
                say(f"smaller, in {given.smaller} tries:")
                show(shrink(report, run_apart, given.smaller))
    return int(failures > 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulate")
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--days", type=float, default=2)
    parser.add_argument("--trainings", type=float, default=200, help="a day")
    parser.add_argument("--troubles", type=float, default=12, help="a day")
    parser.add_argument("--acts", nargs="*", help="troubles instead of those that are drawn: SECONDS:KIND")
    parser.add_argument("--smaller", type=int, default=0, help="runs that may be spent to make a failure smaller")
    parser.add_argument("--log", type=Path, help="a file for the event log")
    parser.add_argument("--postgresql", action="store_true", help="on a real PostgreSQL, without worlds of 0.2")
    parser.add_argument("--planted", choices=["all", *sorted(BUGS)], help="a bug on purpose that the seeds must find")
    return parser.parse_args()


def _is_found(name: str, plans: list[Plan], tries: int) -> bool:
    for plan in plans:
        report = run_apart(plan, planted=name)
        if report.violation is not None:
            say(
                f"| {name} | {plan.seed} | {report.at:.2f} | {report.violation.promise} | {report.violation.how[:80]} |"
            )
            if tries:
                show(shrink(report, partial(run_apart, planted=name), tries))
            return True
    say(f"| {name} | not found | | | |")
    return False


def say(text: str) -> None:
    """Write a line at once: a long run is watched."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show(report: Report) -> None:
    """Print one report; of a failure the last events and the story of its request."""
    say(
        f"seed {report.plan.seed}: {report.at:.2f} days, {report.trainings} trainings, "
        f"{len(report.plan.acts)} troubles, "
        f"{report.told} messages, {report.commits} commits, {report.posts} posts, {report.starts} starts, "
        f"{report.lines} events, {report.seconds:.1f} s of CPU, digest {report.digest}"
    )
    if report.violation is not None:
        if len(report.plan.acts) + len(report.plan.trainings) <= FEW:
            say("troubles: " + (", ".join(f"{act.at:.0f}:{act.kind}" for act in report.plan.acts) or "none"))
            say("trainings: " + (", ".join(f"{n} at {at:.0f} s" for n, at in report.plan.trainings) or "none"))
        say(f"BROKEN {report.violation} ({report.violation.request_id})")
        say("\n".join([*report.last, "", *report.story]))


if __name__ == "__main__":
    sys.exit(main())
