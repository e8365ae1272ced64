"""Runs in processes of their own, forked from this one: what is imported is imported once, and nothing is left over."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tests.simulation.plan import Plan
from tests.simulation.planted import BUGS
from tests.simulation.run import Report, run

_fork = multiprocessing.get_context("fork")


def run_apart(plan: Plan, log_path: Path | None = None, planted: str | None = None) -> Report:
    """Run one plan, with a bug on purpose if one is named. Raises RuntimeError where the run itself broke."""
    found: Report = _call(lambda: _run(plan, log_path, planted))
    return found


def run_many(plans: Iterable[Plan], planted: str | None = None) -> Iterator[Report]:
    """Run plans one after the other."""
    for plan in plans:
        yield run_apart(plan, planted=planted)


def _run(plan: Plan, log_path: Path | None, planted: str | None) -> Report:
    if planted is not None:
        BUGS[planted]()
    return run(plan, log_path=log_path)


def _call(work: Callable[[], Any]) -> Any:
    ours, theirs = _fork.Pipe(duplex=False)

    def whole() -> None:
        ours.close()
        theirs.send(work())
        theirs.close()

    process = _fork.Process(target=whole)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise RuntimeError("the run broke; its traceback is above") from None
    finally:
        process.join()
