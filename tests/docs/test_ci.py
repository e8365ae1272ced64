"""What CI runs installs what it can and says what it could not try."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docs.project import ROOT, program

APT = """#!/bin/sh
echo "$*" >> "{calls}"
case $* in *" strace"*) echo "E: Unable to locate package strace" >&2; exit 100 ;; esac
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A bare machine: an apt-get that does not know strace, a make that records its targets."""

    folder: Path
    bash: str

    def run(self, *, user: int) -> "subprocess.CompletedProcess[str]":
        self.write("id", f"#!/bin/sh\necho {user}\n")
        return subprocess.run(
            [self.bash, str(self.folder / ".ci/run")],
            env={"PATH": str(self.folder / "bin"), "PYTHON_TO_TEST": str(self.folder / "bin/python3.11")},
            capture_output=True,
            text=True,
            check=False,
        )

    def write(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def targets(self) -> list[str]:
        return [word for call in self.calls("make") for word in call.split() if not word.startswith("-")]

    def calls(self, name: str) -> list[str]:
        path = self.folder / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    (tmp_path / "bin").mkdir()
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    (tmp_path / "bin/dirname").symlink_to(program("dirname", "apt-get install coreutils"))
    found = Machine(tmp_path, program("bash", "apt-get install bash"))
    found.write("apt-get", APT.format(calls=tmp_path / "apt-get.calls"))
    found.write("make", f'#!/bin/sh\necho "$*" >> "{tmp_path}/make.calls"\n')
    found.write("python3", '#!/bin/sh\n[ "$1" = -V ] && echo Python 3.11.7\n')
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(tmp_path / "bin/make")
    return found


def test_an_unknown_package_takes_no_other_with_it(machine: Machine) -> None:
    """Each package is asked for by itself, and every check runs after one that is not known."""
    done = machine.run(user=0)
    assert done.returncode == 0, done.stderr
    update, *installs = machine.calls("apt-get")
    assert update.startswith("update")
    assert {"install -y -qq strace", "install -y -qq faketime", "install -y -qq shellcheck"} <= set(installs)
    assert machine.targets()[:5] == ["lint", "simulate", "test", "servers", "e2e"]


def test_what_is_missing_is_said_at_the_end(machine: Machine) -> None:
    """The last line names what could not be installed, and nothing that could."""
    last = machine.run(user=0).stderr.splitlines()[-1]
    assert "strace" in last
    assert "gixy" in last
    assert "faketime" not in last


def test_who_may_not_install_reads_all_that_is_missing(machine: Machine) -> None:
    """Without root nothing is installed, and the last line names everything that is not there."""
    last = machine.run(user=1000).stderr.splitlines()[-1]
    assert machine.calls("apt-get") == []
    assert "strace" in last
    assert "faketime" in last


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("3.11.2", ["lint", "simulate", "test", "test-on", "servers", "e2e"]),
        ("3.11.7", ["lint", "simulate", "test", "servers", "e2e"]),
    ],
)
def test_every_test_runs_on_the_system_s_interpreter_too(machine: Machine, version: str, wanted: list[str]) -> None:
    """Where it is another version than python3 the suite runs on both, else once; nothing is said to be missing."""
    machine.write("python3.11", f"#!/bin/sh\necho Python {version}\n")
    done = machine.run(user=0)
    assert done.returncode == 0, done.stderr
    assert machine.targets()[: len(wanted)] == wanted
    assert "python3.11" not in done.stderr


def test_a_system_without_that_interpreter_is_said(machine: Machine) -> None:
    """CI goes on to its end, and its last line names the interpreter that nothing was tried on."""
    done = machine.run(user=0)
    assert done.returncode == 0, done.stderr
    assert "test-on" not in machine.targets()
    assert "/bin/python3.11" in done.stderr.splitlines()[-1]


def test_a_linter_that_is_missing_fails_where_everything_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under E2E=full a missing program is a failure with its remedy, else a skip."""
    monkeypatch.setenv("E2E", "full")
    with pytest.raises(pytest.fail.Exception, match="needs no-such-linter: install it"):
        program("no-such-linter", "install it")
    monkeypatch.delenv("E2E")
    with pytest.raises(pytest.skip.Exception):
        program("no-such-linter", "install it")
