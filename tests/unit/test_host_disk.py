"""Room on the disks."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.host.disk import MIB, look_at_folders


@dataclass
class Room:
    total: int
    free: int


@pytest.mark.parametrize(
    ("total", "free", "code"),
    [
        (100_000, 50_000, "disk.ok"),
        (100_000, 9_000, "disk.low"),  # 9 %
        (5_000, 1_000, "disk.low"),  # 20 %, but under 1 GiB
        (5_000, 100, "disk.low"),
        (5_000, 99, "disk.full"),
        (0, 0, "disk.full"),
    ],
)
def test_room_is_judged_by_size_and_share(total: int, free: int, code: str, tmp_path: Path) -> None:
    """Under 1 GiB or 10 % warns, under 100 MiB fails."""
    [found] = look_at_folders([tmp_path], "en", usage=lambda _: Room(total * MIB, free * MIB))
    assert found.code == code


def test_a_folder_to_come_is_judged_by_its_parent(tmp_path: Path) -> None:
    """A folder that is not there yet is judged by the nearest one that is, and that one only once."""
    found = look_at_folders(
        [tmp_path / "logs", tmp_path / "data" / "deep"], "en", usage=lambda _: Room(100_000 * MIB, 50_000 * MIB)
    )
    assert [(one.code, str(tmp_path) in one.text) for one in found] == [("disk.ok", True)]


def test_a_folder_we_may_not_write_is_a_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the right to write, room does not help."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert [one.code for one in look_at_folders([tmp_path], "en")] == ["disk.unwritable"]
