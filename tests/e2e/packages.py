"""uv, which the Makefile has put into .tools, as the tests call it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.docs.project import ROOT


def uv(*words: str | Path) -> None:
    """Run uv; raises CalledProcessError where it fails, as without a way to PyPI."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".tools")}  # noqa: TID251  a tool of this machine
    subprocess.run([sys.executable, "-m", "uv", *words], cwd=ROOT, env=environment, check=True)


def environment_in(folder: Path) -> Path:
    """Make an empty environment in `folder`; return its Python, to be named to uv in full."""
    uv("venv", "--quiet", folder)
    return folder / "bin/python"
