"""`aisha-webhook setup` and the account that systemd runs the server as."""

import grp
import os
import stat
from pathlib import Path

import pytest

from app.cli import unit_group
from app.cli.setup import _Session
from app.cli.setup_answers import Answers

OTHERS = 12_345  # a group of nobody here


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A unit that runs the server with the group `aisha`, and an empty folder to work in."""
    monkeypatch.setattr(unit_group, "SYSTEM", tmp_path)
    path = tmp_path / "aisha-webhook-api.service"
    path.write_text("[Service]\nUser=aisha\nGroup=aisha\n")
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return path


def given(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(grp, "getgrnam", lambda name: grp.struct_group((name, "x", number, [])))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of another group")
@pytest.mark.parametrize("text", [None, "OTHER=1\n"])
def test_the_server_s_group_may_read_what_root_writes(
    unit: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """A `.env` that root makes, or that only root could read, is for the service to read afterwards."""
    assert unit.exists()
    given(monkeypatch, OTHERS)
    file = Path(".env")
    if text is not None:
        file.write_text(text)
        file.chmod(0o600)
    mode = Answers(file).write()
    status = file.stat()
    assert (mode, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 0o640, 0, OTHERS)


def test_without_a_unit_the_file_is_its_writer_s_alone(unit: Path) -> None:
    """Before `install systemd` nobody else needs to read it."""
    unit.unlink()
    assert Answers(Path(".env")).write() == 0o600
    assert unit_group.restart() is None


def test_who_may_not_give_a_file_away_is_told_the_command(unit: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account outside the service's group writes 0600; what lets the service in is part of the next command."""
    assert unit.exists()
    given(monkeypatch, OTHERS)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getgroups", lambda: [1000])
    monkeypatch.setattr("app.files.atomic_write.os.fchown", lambda *_: None)
    answers = Answers(Path(".env"))
    mode = answers.write()
    assert mode == 0o600
    assert _Session(answers, is_quiet=True, checks=False)._next(mode) == (
        "sudo chgrp aisha .env && sudo chmod 640 .env && sudo systemctl restart aisha-webhook-api"
    )


def test_replicas_are_restarted_together(unit: Path) -> None:
    """Where replicas took over from a single server, whose unit is still there, the next command names them all."""
    assert unit_group.restart() == "sudo systemctl restart aisha-webhook-api"
    replica = unit.with_name("aisha-webhook-api@.service")
    replica.write_text(unit.read_text())
    wants = unit.parent / "multi-user.target.wants"
    wants.mkdir()
    (wants / "aisha-webhook-api@8444.service").symlink_to(replica)
    assert unit_group.restart() == "sudo systemctl restart 'aisha-webhook-api@*'"
