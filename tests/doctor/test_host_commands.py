"""Programs of the machine."""

import pytest

from app.doctor.host import commands
from app.doctor.host.commands import Answer, run


def test_code_and_both_streams_are_returned() -> None:
    """What a program says on either stream is one text, with its exit code."""
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == Answer(3, "out\nerr\n")


def test_a_program_that_is_not_there_is_none() -> None:
    """A tool that this machine lacks is no error."""
    assert run(["no-such-program-7f3a"]) is None


def test_a_program_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program past its deadline has no code, and is not waited for."""
    monkeypatch.setattr(commands, "SECONDS", 0.05)
    assert run(["sleep", "30"]) == Answer(None, "")


def test_no_secret_of_the_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """fault 45: programs get a language and a path of our choice, and nothing else of the environment."""
    monkeypatch.setenv("TELEGRAM_TOKEN", "canary-7f3a")
    answer = run(["env"])
    assert answer is not None
    assert {line.partition("=")[0] for line in answer.text.splitlines()} <= {"LC_ALL", "PATH", "PWD", "SHLVL", "_"}
