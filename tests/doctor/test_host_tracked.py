"""Secrets in git, asked of a real git."""

import subprocess
from pathlib import Path

import pytest

from app.doctor.host.commands import Answer
from app.doctor.host.tracked import look_for_tracked


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".env").write_text("TELEGRAM_TOKEN=1:A\n")
    (tmp_path / "server.key").write_text("key\n")
    return tmp_path


def test_a_tracked_secret_is_a_fail(repository: Path) -> None:
    """What git tracks is named with the command that takes it out."""
    subprocess.run(["git", "-C", str(repository), "add", ".env"], check=True)
    [found] = look_for_tracked([repository / ".env", repository / "server.key"], "en")
    assert found.code == "git.tracked"
    assert found.command == f"git -C {repository} rm --cached -- .env"


def test_untracked_secrets_are_well(repository: Path) -> None:
    """A file beside the repository's own is nobody's business."""
    found = look_for_tracked([repository / ".env"], "en")
    assert [one.code for one in found] == ["git.clean"]


def test_the_command_does_what_it_says(repository: Path) -> None:
    """After the printed command the finding is gone, and the file still there."""
    subprocess.run(["git", "-C", str(repository), "add", ".env"], check=True)
    [found] = look_for_tracked([repository / ".env"], "en")
    subprocess.run(found.command, shell=True, check=True, stdout=subprocess.DEVNULL)
    assert [one.code for one in look_for_tracked([repository / ".env"], "en")] == ["git.clean"]
    assert (repository / ".env").exists()


def test_without_git_nothing_is_tracked(tmp_path: Path) -> None:
    """A machine without git has no repository to leak from."""
    (tmp_path / ".env").touch()
    assert [one.code for one in look_for_tracked([tmp_path / ".env"], "en", run=lambda _: None)] == ["git.clean"]


def test_a_repository_cannot_make_git_start_programs(repository: Path) -> None:
    """A program that the repository names for git is not started: it may be root who asks."""
    marker = repository / "started"
    hook = repository / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {marker}\n")
    hook.chmod(0o755)
    subprocess.run(["git", "-C", str(repository), "config", "core.fsmonitor", str(hook)], check=True)
    look_for_tracked([repository / ".env"], "en")
    assert not marker.exists()


def test_git_that_takes_too_long_accuses_nobody(tmp_path: Path) -> None:
    """No answer is not "tracked"."""
    (tmp_path / ".env").touch()
    found = look_for_tracked([tmp_path / ".env"], "en", run=lambda _: Answer(None, ""))
    assert [one.code for one in found] == ["git.clean"]
