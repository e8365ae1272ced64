"""MAX_CONNECTIONS is bounded by the memory there is (fault 62)."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.server.memory import CROWD, FEWEST, PER_CONNECTION, Crowd, fit_memory

MIB = 1 << 20


def machine(root: Path, total: int, limits: dict[str, str] | None = None) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal:       {total // 1024} kB\nMemFree: 1 kB\n")
    (root / "proc/self/cgroup").write_text("0::/system.slice/aisha.service\n")
    for name, limit in (limits or {}).items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(limit)
    return root


@pytest.mark.parametrize(
    "limits",
    [
        {"system.slice/aisha.service/memory.high": f"{512 * MIB}\n"},
        {"system.slice/aisha.service/memory.max": f"{512 * MIB}\n", "system.slice/memory.max": "max\n"},
        {"system.slice/aisha.service/memory.max": "max\n", "system.slice/memory.max": f"{512 * MIB}\n"},
    ],
    ids=["systemd", "container", "above"],
)
def test_the_least_limit_counts(tmp_path: Path, limits: dict[str, str]) -> None:
    """Ours or one above us; what does not fit is taken away and said once, with the figures."""
    root = machine(tmp_path, 8192 * MIB, limits)
    with capture_logs() as events:
        fitting = fit_memory(100_000, root)
    assert fitting == 256 * MIB // PER_CONNECTION
    assert events == [
        {
            "event": "server.too_little_memory",
            "log_level": "warning",
            "memory_mib": 512,
            "wanted": 100_000,
            "connections": fitting,
        }
    ]


def test_what_fits_is_left_as_it_is(tmp_path: Path) -> None:
    """The default needs 600 MiB, and nothing is said."""
    with capture_logs() as events:
        assert fit_memory(1000, machine(tmp_path, 768 * MIB)) == 1000
    assert events == []


def test_a_tiny_machine_keeps_the_fewest(tmp_path: Path) -> None:
    """A server that takes no connection would be none."""
    assert fit_memory(1000, machine(tmp_path, MIB)) == FEWEST


def test_an_unknown_memory_takes_nothing_away(tmp_path: Path) -> None:
    """No /proc, or one that cannot be read."""
    assert fit_memory(100_000, tmp_path) == 100_000


def test_a_crowd_that_has_gone_is_told_once() -> None:
    """Once three quarters of many connections have ended it is said, once; the next crowd is said again (fault 62)."""
    crowd = Crowd()
    seen = [crowd.has_gone(present) for present in (CROWD, 20, 9, 8, 8, 0, 125, 125, 32, 31, 3)]
    assert seen == [False, False, False, True, False, False, False, False, False, True, False]


def test_a_crowd_between_two_looks_is_seen() -> None:
    """125 connections that come and go within half a second leave as much memory in pieces as 125 that stay."""
    crowd = Crowd()
    crowd.saw(125)
    crowd.saw(1)
    assert [crowd.has_gone(0) for _ in range(3)] == [False, True, False]


def test_memory_is_not_looked_for_while_the_crowd_still_comes_and_goes() -> None:
    """Many short connections, none of them there at the moment of a look: collecting would only slow them down."""
    crowd = Crowd()
    for _ in range(5):
        crowd.saw(64)
        assert not crowd.has_gone(0)
    assert crowd.has_gone(0)


def test_few_connections_are_no_crowd() -> None:
    """The coming and going of deliveries never sets the search for free memory off."""
    crowd = Crowd()
    assert not any(crowd.has_gone(present) for present in (CROWD - 1, 0) * 10)
