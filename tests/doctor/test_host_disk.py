"""Room on the disks."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.doctor.finding import Level
from app.doctor.host import disk
from app.doctor.host.disk import MIB, look_at_folders
from app.files.ownership import Ownership


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


@pytest.mark.parametrize(
    ("whose", "code", "level", "command"),
    [
        pytest.param(
            Ownership("aisha", "operator", "operator", is_ours=False, is_roots=False),
            "disk.foreign",
            Level.WARN,
            "sudo -u aisha {python} -m app.cli doctor",
            id="the service's",
        ),
        pytest.param(
            Ownership("999", "operator", "operator", is_ours=False, is_roots=False),
            "disk.foreign",
            Level.WARN,
            "sudo -u '#999' {python} -m app.cli doctor",
            id="a number's",
        ),
        pytest.param(
            Ownership("root", "operator", "aisha", is_ours=False, is_roots=True),
            "disk.unwritable",
            Level.FAIL,
            "sudo chown -R aisha {folder}",
            id="root's",
        ),
        pytest.param(
            Ownership("operator", "operator", "operator", is_ours=True, is_roots=False),
            "disk.unwritable",
            Level.FAIL,
            "chmod u+rwx {folder}",
            id="ours",
        ),
    ],
)
def test_a_folder_we_may_not_write_is_never_taken_from_another(
    whose: Ownership, code: str, level: Level, command: str, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is another account's stays its own and is asked about as that account; only root's is given away."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(disk, "ownership_of", lambda _: whose)
    [found] = look_at_folders([tmp_path], "en")
    assert (found.code, found.level) == (code, level)
    assert found.command == command.format(python=sys.executable, folder=tmp_path)


def test_a_folder_behind_a_closed_one_is_judged_by_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where we may not even look, the nearest folder that can be seen is judged, and nothing crashes."""
    real = os.path.exists
    monkeypatch.setattr(os.path, "exists", lambda path: Path(path).name != "data" and real(path))
    monkeypatch.setattr(os, "access", lambda *_: False)
    [found] = look_at_folders([tmp_path / "data"], "en")
    assert f"{tmp_path}:" in found.text
