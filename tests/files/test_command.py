import shutil
import sys
from pathlib import Path

import pytest

from app.files import command
from app.files.command import command_from_anywhere


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A server in a folder of its own, whose wrapper was never installed."""
    here = tmp_path / "a project"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setattr(command, "WRAPPER", tmp_path / "bin" / "aisha-webhook")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return here


def test_the_wrapper_needs_no_more_than_its_name(tmp_path: Path) -> None:
    """Where `install systemd` has put the command, it is called by its name."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aisha-webhook").touch()
    assert command_from_anywhere() == "aisha-webhook"


def test_without_the_wrapper_the_command_of_the_environment_is_called(folder: Path, tmp_path: Path) -> None:
    """The command stands beside the interpreter, and the settings in the server's folder."""
    (tmp_path / "aisha-webhook").touch()
    assert command_from_anywhere() == f"cd '{folder}' && {tmp_path / 'aisha-webhook'}"


def test_without_any_command_the_module_is_run(folder: Path, tmp_path: Path) -> None:
    """The sources alone are enough."""
    assert command_from_anywhere() == f"cd '{folder}' && {tmp_path / 'python'} -m app.cli"


def test_another_account_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is not root's is asked as its account, by number where that has no name."""
    monkeypatch.setattr("os.geteuid", lambda: 54321)
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/sudo")
    assert command_from_anywhere() == f"cd '{folder}' && sudo -u '#54321' {tmp_path / 'python'} -m app.cli"
