"""The command that `install systemd` writes: from anywhere, in the server's folder, as its account."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app import __version__
from app.cli import output
from app.cli.main import app

FOREIGN = """#!/bin/sh
case "$1" in -un) echo {name} ;; -u) echo {number} ;; -g) echo 7 ;; esac
"""
TELLING = """#!/bin/sh
echo "{name} $*"
"""


@pytest.fixture
def wrapper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command for a project in `tmp_path / "project"`."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(app, ["install", "systemd", "--into", str(tmp_path / "units")])
    assert done.exit_code == 0, done.output
    return tmp_path / "units" / "aisha-webhook"


def run(wrapper: Path, name: str, number: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it as if this account were `name`; whoever it turns to only tells what it was asked."""
    bin_ = wrapper.parent / "bin"
    bin_.mkdir(exist_ok=True)
    texts = {"id": FOREIGN.format(name=name, number=number)}
    texts |= {tool: TELLING.format(name=tool) for tool in ("sudo", "setpriv")}
    for tool, text in texts.items():
        (bin_ / tool).write_text(text)
        (bin_ / tool).chmod(0o755)
    environment = {"PATH": f"{bin_}:{os.defpath}", "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        ["/bin/sh", wrapper, *words], cwd="/", env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_it_is_a_command_of_its_own(wrapper: Path) -> None:
    """It may be run by everybody, and names no placeholder any more."""
    assert stat.S_IMODE(wrapper.stat().st_mode) == 0o755
    assert "@" not in wrapper.read_text().replace("$@", "")


def test_the_servers_account_just_runs_it(wrapper: Path) -> None:
    """Who is that account already needs no sudo."""
    done = run(wrapper, "aisha", 999, "--version")
    assert (done.returncode, done.stdout) == (0, f"aisha-webhook {__version__}\n")


@pytest.mark.parametrize(
    ("name", "number", "words", "expected"),
    [
        ("anna", 1000, ("deliveries", "list"), "sudo -u aisha -- "),
        ("root", 0, ("deliveries", "list"), "setpriv --reuid aisha --regid 7 --init-groups -- "),
        ("anna", 1000, ("install", "systemd"), "sudo -u root -- "),
        ("anna", 1000, ("cert", "install-hook"), "sudo -u root -- "),
    ],
)
def test_another_account_goes_to_the_right_one(
    wrapper: Path, name: str, number: int, words: tuple[str, ...], expected: str
) -> None:
    """sudo, or root itself, turns into the server's account; what writes outside the folder becomes root."""
    done = run(wrapper, name, number, *words)
    assert done.returncode == 0
    assert done.stdout.startswith(expected)
    assert done.stdout.rstrip().endswith(f"-m app.cli {' '.join(words)}")


def test_remedies_name_it_once_it_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A remedy can be pasted: by the name that the shell finds, else the way this command was called."""
    monkeypatch.setattr("sys.argv", [".venv/bin/aisha-webhook", "try"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert output.called() == ".venv/bin/aisha-webhook"
    (tmp_path / "aisha-webhook").write_text("#!/bin/sh\n")
    (tmp_path / "aisha-webhook").chmod(0o755)
    assert output.called() == "aisha-webhook"
