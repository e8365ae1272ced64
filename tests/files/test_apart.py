"""Work in a fork of this process: its result, and its death."""

import os
import signal
from multiprocessing.connection import Connection

import pytest

from app.files.apart import Apart

HELD: list[str] = []


def hold() -> tuple[int, list[str]]:
    HELD.append("what the work needs")
    return os.getpid(), HELD


def test_this_process_holds_nothing_of_what_the_work_needs() -> None:
    """Another process worked, and had it; this one was told the result alone."""
    process, held = Apart(hold, "work").result()
    assert process != os.getpid()
    assert held == ["what the work needs"]
    assert HELD == []


def test_a_result_may_be_larger_than_a_pipe() -> None:
    """Neither waits for the other for ever."""
    assert len(Apart(lambda: b"x" * 10_000_000, "work").result()) == 10_000_000


def test_work_that_is_killed_says_so() -> None:
    """As the kernel kills when memory is short."""
    with pytest.raises(EOFError):
        Apart(lambda: os.kill(os.getpid(), signal.SIGKILL), "work").result()


def test_work_that_raises_says_so_without_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    """Whoever waits does it again itself, where a bug shows."""
    with pytest.raises(EOFError):
        Apart(lambda: 1 // 0, "work").result()
    assert capfd.readouterr().err == ""


def test_work_that_is_killed_while_it_sends_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a result is none: multiprocessing has another error for it."""

    def half(_: Connection) -> None:
        raise OSError("got end of file during message")

    work = Apart(lambda: 1, "work")
    monkeypatch.setattr(Connection, "recv", half)
    with pytest.raises(EOFError):
        work.result()


def test_several_work_beside_each_other() -> None:
    """Results are asked for in any order."""
    first, second = Apart(lambda: 1, "first"), Apart(lambda: 2, "second")
    assert (second.result(), first.result()) == (2, 1)
