"""The wheel alone, as `pipx install` or `uvx --from` puts it up: nothing of a checkout is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.project import ROOT
from tests.release.alone import run_and_try


def uv(*words: str | Path) -> None:
    """Run uv, which the Makefile has put into .tools."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".tools")}  # noqa: TID251  a tool of this machine
    subprocess.run([sys.executable, "-m", "uv", *words], cwd=ROOT, env=environment, check=True)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, and install it by its pinned requirements into an environment of its own."""
    folder = tmp_path_factory.mktemp("wheel")
    uv("build", "--quiet", "--wheel", "--out-dir", folder)
    [wheel] = folder.glob("*.whl")
    uv("venv", "--quiet", folder / "venv")
    python = folder / "venv/bin/python"
    uv("pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", "requirements.txt")
    uv("pip", "install", "--quiet", "--python", python, "--no-deps", wheel)
    return folder / "venv/bin/aisha-webhook"


def test_the_wheel_runs_alone(command: Path, tmp_path: Path) -> None:
    """Installed, started and tried in an empty folder: it makes its folders there, and ends with 0."""
    assert run_and_try(command, tmp_path) == ["data", "logs", "ssl"]
