"""A plan that fails → a smaller one that breaks the same promise: its shortest prefix, without what is not needed."""

from collections.abc import Callable, Iterator, Sequence
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
    parts = 2
    while left > 0:
        smaller = next((found for plan in _thinner(best.plan, parts) if (found := fails(plan)) is not None), None)
        if smaller is not None:
            best, parts = smaller, 2
        elif parts >= max(len(best.plan.acts), len(best.plan.trainings)):
            break
        else:
            parts *= 2
    return best


def _thinner(plan: Plan, parts: int) -> Iterator[Plan]:
    """Leave out one part after the other of the troubles, then of the trainings."""
    for acts in _without(plan.acts, parts):
        yield replace(plan, acts=acts)
    for trainings in _without(plan.trainings, parts):
        yield replace(plan, trainings=trainings)


def _without(items: Sequence[T], parts: int) -> Iterator[tuple[T, ...]]:
    size = -(-len(items) // parts)
    for start in range(0, len(items), max(size, 1)):
        yield (*items[:start], *items[start + size :])
