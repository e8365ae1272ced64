from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from app.domain.quotas import LINES, TURN_SECONDS, TURNS, LineQuota
from app.routers.fal_webhook import tell_muted


class Later:
    """Keeps what is to be called back, until the minute is over."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, seconds: float, act: Callable[[], None]) -> None:
        self.waiting.append((seconds, act))

    def pass_by(self) -> None:
        for _, act in self.waiting:
            act()
        self.waiting.clear()


@pytest.fixture
def later() -> Later:
    return Later()


@pytest.fixture
def lines(later: Later) -> LineQuota:
    return LineQuota(later, tell_muted)


def test_ten_lines_pass_and_the_rest_is_counted(lines: LineQuota, later: Later) -> None:
    """An address has ten lines a minute; after it one line tells how many were left out, by their codes."""
    assert [lines.admits("203.0.113.7", "a") for _ in range(LINES)] == [True] * LINES
    for code in ("a", "a", "b"):
        assert not lines.admits("203.0.113.7", code)
    with capture_logs() as logs:
        later.pass_by()
    assert logs == [
        {
            "event": "delivery.muted",
            "log_level": "warning",
            "address": "203.0.113.7",
            "lines": 3,
            "codes": {"a": 2, "b": 1},
        }
    ]


def test_a_quiet_address_costs_no_line(lines: LineQuota, later: Later) -> None:
    """Where nothing was left out, nothing is told; the turn lasts a minute and is then forgotten."""
    lines.admits("203.0.113.7", "a")
    assert [seconds for seconds, _ in later.waiting] == [TURN_SECONDS]
    with capture_logs() as logs:
        later.pass_by()
    assert logs == []
    assert lines._turns == {}


def test_a_new_minute_has_ten_lines_again(lines: LineQuota, later: Later) -> None:
    """What was left out is over with its minute."""
    for _ in range(2):
        assert sum(lines.admits(None, "a") for _ in range(LINES * 3)) == LINES
        later.pass_by()


def test_a_crowd_shares_one_turn(lines: LineQuota, later: Later) -> None:
    """However many addresses come, 257 turns are remembered: lines, timers and memory are bounded."""
    admitted = sum(lines.admits(f"10.{n >> 8}.{n & 255}.1", "a") for n in range(10_000))
    assert admitted == TURNS + LINES
    assert len(lines._turns) == len(later.waiting) == TURNS + 1
    with capture_logs() as logs:
        later.pass_by()
    assert [(entry["address"], entry["lines"]) for entry in logs] == [("others", 10_000 - TURNS - LINES)]


def test_every_line_is_counted_once_written_or_not(lines: LineQuota) -> None:
    """The count since the start is by code, whoever caused it."""
    for address in ("203.0.113.7", "203.0.113.8"):
        for _ in range(LINES + 3):
            lines.admits(address, "a")
    lines.admits(None, "b")
    assert lines.counted == {"a": 2 * (LINES + 3), "b": 1}
