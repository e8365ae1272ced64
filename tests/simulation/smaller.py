"""A plan that fails → a smaller one that breaks the same promise: its shortest prefix, without what is not needed."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tests.simulation.plan import DAY, Plan
from tests.simulation.run import Report

T = TypeVar("T")


def shrink(report: Report, run: Callable[[Plan], Report], tries: int) -> Report:
    """Run smaller plans, `tries` at most; return the report of the smallest that fails as the first one did."""
    assert report.violation is not None, "only a failure is made smaller"
    wanted, best, left = report.violation.promise, report, tries

    def fails(plan: Plan) -> Report | None:
        nonlocal left
        if left <= 0:
            return None
        left -= 1
        found = run(plan)
        return found if found.violation is not None and found.violation.promise == wanted else None

    end = report.at * DAY
    prefix = replace(
        report.plan,
        days=min(report.plan.days, report.at + 1e-6),
        acts=tuple(act for act in report.plan.acts if act.at <= end),
        trainings=tuple(one for one in report.plan.trainings if one[1] <= end),
    )
    best = fails(prefix) or best
    for _ in range(tries):
        before = best
        for acts in _halves(best.plan.acts):
            if (found := fails(replace(best.plan, acts=acts))) is not None:
                best = found
                break
        for trainings in _halves(best.plan.trainings):
            if (found := fails(replace(best.plan, trainings=trainings))) is not None:
                best = found
                break
        if best is before or left <= 0:
            break
    return best


def _halves(items: Sequence[T]) -> list[tuple[T, ...]]:
    middle = len(items) // 2
    return [tuple(items[middle:]), tuple(items[:middle])] if items else []
