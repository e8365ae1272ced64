"""Simulated worlds in a bounded form; `make simulate SEED= DAYS=` walks further (docs/simulation.md).

`SIMULATION_SEED` names the first of the three new seeds; each run prints its seeds.
"""

import os
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXED = 20261125
NEW = int(os.environ.get("SIMULATION_SEED") or random.SystemRandom().randrange(1, 10**6))  # noqa: TID251  a setting of the tests
SMALL = ("--days", "0.03", "--trainings", "330", "--troubles", "170")
PATIENCE = 900  # s, on a machine that does much else
# Days that once broke a promise, by what they found.
FOUND: dict[str, tuple[int, tuple[str, ...]]] = {
    "a clock is wrong when the last day ends": (
        2, ("--days", "0.02", "--trainings", "250", "--acts", "1725:the clock steps")
    ),
    "the account is unlocked, and nothing is asked of fal any more": (80012, SMALL),
    "a job whose last question met a locked account waits for its row": (
        106, ("--days", "0.1", "--trainings", "300", "--troubles", "100")
    ),
    "fal says for a moment of a finished training that it is unknown": (306, SMALL),
    "neither the webhook nor the registration of a generation comes through": (71037, SMALL),
}  # fmt: skip

Simulate = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def simulate() -> Simulate:
    """Run the command as `make simulate` does."""

    def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "tests.simulation", *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            cwd=ROOT,
            env={"PYTHONHASHSEED": "0", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
        )

    return command


def digests(printed: str) -> list[str]:
    """The digest of each run's event log."""
    return re.findall(r"digest ([0-9a-f]{64})", printed)


def test_no_promise_is_broken_and_one_seed_is_one_log(simulate: Simulate) -> None:
    """I1-I11 hold in a known world and three new ones; the same seed gives the same event log, byte for byte."""
    done = simulate("--seed", str(FIXED), *(str(NEW + more) for more in range(3)), str(FIXED), *SMALL)
    assert done.returncode == 0, f"{done.stdout[-12_000:]}\n{done.stderr[-2000:]}"
    found = digests(done.stdout)
    assert len(found) == 5
    assert found[0] == found[4]
    assert len(set(found)) == 4


def test_a_world_may_stand_on_a_real_postgresql(simulate: Simulate) -> None:
    """The promises hold in one whose statements, types and errors are PostgreSQL's; one seed is one log there, too."""
    small = ("--days", "0.01", "--trainings", "600", "--troubles", "300")
    done = simulate("--postgresql", "--seed", str(FIXED), str(FIXED), *small)
    assert done.returncode == 0, f"{done.stdout[-12_000:]}\n{done.stderr[-2000:]}"
    first, second = digests(done.stdout)
    assert first == second


def test_a_planted_bug_is_found(simulate: Simulate) -> None:
    """Where 200 is answered before the commit, the first crash or the first look shows it (I1)."""
    done = simulate("--planted", "answer-before-the-commit", "--seed", str(FIXED), *SMALL)
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"| answer-before-the-commit | {FIXED} |" in done.stdout
    assert "| I1 |" in done.stdout


@pytest.mark.parametrize("name", FOUND)
def test_a_seed_that_once_failed_holds(simulate: Simulate, name: str) -> None:
    """What a world has found once stays mended."""
    seed, arguments = FOUND[name]
    done = simulate("--seed", str(seed), *arguments)
    assert done.returncode == 0, f"{done.stdout[-12_000:]}\n{done.stderr[-2000:]}"
