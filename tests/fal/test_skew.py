from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.fal.skew import Skew

NOW = datetime(2026, 11, 22, 12, 0, 0, 500_000, tzinfo=UTC)  # half past the second: what a Date stands for on average


class Machine:
    """A machine's two clocks, and fal's."""

    def __init__(self) -> None:
        self.wall = self.fal = NOW
        self.elapsed = 1000.0
        self.skew = Skew(lambda: self.wall, lambda: self.elapsed)

    def wait(self, seconds: float) -> None:
        self.elapsed += seconds
        self.wall += timedelta(seconds=seconds)
        self.fal += timedelta(seconds=seconds)

    def ask(self, seconds: float = 0.0, **headers: str) -> None:
        """Let fal answer in the middle of so many seconds."""
        take = self.skew.timing("fal.example")
        self.wait(seconds / 2)
        date = format_datetime(self.fal.replace(microsecond=0), usegmt=True)
        self.wait(seconds / 2)
        take({"date": date, **headers})

    def ahead(self) -> float:
        offset = self.skew.offset()
        assert offset is not None
        return offset.total_seconds()


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_nothing_is_known_before_an_answer(machine: Machine) -> None:
    """Without an answer of fal's there is no offset, rather than one of zero (fault 15)."""
    assert machine.skew.offset() is None


@pytest.mark.parametrize("seconds", [0, 0.9, -0.9, 60, -60, 61, -61, 301, -301, 86_400 * 400, -86_400 * 400])
def test_the_offset_is_measured(machine: Machine, seconds: float) -> None:
    """The offset is ours minus fal's, to the second; beyond a minute the log says so once (fault 15)."""
    machine.wall += timedelta(seconds=seconds)
    with capture_logs() as logs:
        machine.ask()
        machine.ask()
    assert machine.ahead() == pytest.approx(seconds, abs=0.5)
    told = [{"event": "clock.skewed", "log_level": "error", "host": "fal.example", "ahead_seconds": seconds}]
    assert logs == (told if abs(seconds) > 60 else [])


@pytest.mark.parametrize("seconds", [301, -301, 86_400, -86_400])
def test_a_jump_shows_at_once(machine: Machine, seconds: float) -> None:
    """A clock that jumps or steps back after the answer is seen to be wrong without another answer (fault 15)."""
    machine.ask()
    machine.wait(1800)
    assert machine.ahead() == pytest.approx(0, abs=0.5)
    machine.wall += timedelta(seconds=seconds)
    assert machine.ahead() == pytest.approx(seconds, abs=0.5)


def test_a_clock_that_was_set_right_is_told(machine: Machine) -> None:
    """The log says when the trouble ends, and a second trouble is told again (fault 15)."""
    with capture_logs() as logs:
        for seconds in (100, -100, 0, 200, -200):
            machine.wall += timedelta(seconds=seconds)
            machine.ask()
    assert [entry["event"] for entry in logs] == ["clock.skewed", "clock.right_again"] * 2


def test_a_leap_second_is_no_skew(machine: Machine) -> None:
    """A second that comes twice is far below what is told (fault 15)."""
    machine.wall -= timedelta(seconds=1)
    with capture_logs() as logs:
        machine.ask()
    assert logs == []


def test_a_slow_answer_is_taken_for_its_middle(machine: Machine) -> None:
    """An answer that takes 3 s says what fal's clock showed half of that ago."""
    machine.ask(3.0)
    assert machine.ahead() == pytest.approx(0, abs=0.6)


def test_a_cached_answer_is_older_by_its_age(machine: Machine) -> None:
    """What a cache kept for five minutes does not make our clock five minutes fast."""
    take = machine.skew.timing("fal.example")
    take({"date": format_datetime((NOW - timedelta(seconds=300)).replace(microsecond=0), usegmt=True), "age": "300"})
    assert machine.ahead() == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("age", ["-5", "1e3", "9" * 400, "٣٠٠", "soon", ""])
def test_an_age_that_is_no_number_is_none(machine: Machine, age: str) -> None:
    """A junk Age neither breaks the measurement nor changes it."""
    machine.ask(age=age)
    assert machine.ahead() == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize(
    "date", ["", "yesterday", "Sun, 22 Nov 2026", "Sun, 99 Nov 2026 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"]
)
def test_a_date_that_is_none_measures_nothing(machine: Machine, date: str) -> None:
    """A junk Date leaves what was measured before, and raises nothing."""
    machine.skew.timing("fal.example")({"date": date, "age": "999999"})
    assert machine.skew.offset() is None
    machine.skew.timing("fal.example")({})
    assert machine.skew.offset() is None


@given(st.text(max_size=60), st.text(max_size=8))
def test_any_headers_do_no_harm(date: str, age: str) -> None:
    """Whatever stands in Date and Age, nothing is raised."""
    machine = Machine()
    machine.skew.timing(None)({"date": date, "age": age})
    machine.skew.offset()


def test_the_machines_own_count_of_seconds_is_taken_by_default() -> None:
    """Without being told otherwise the kernel's count since boot stands behind the wall clock."""
    skew = Skew(lambda: NOW)
    skew.timing("fal.example")({"date": format_datetime(NOW.replace(microsecond=0), usegmt=True)})
    offset = skew.offset()
    assert offset is not None
    assert timedelta(minutes=-5) < offset <= timedelta(0)
