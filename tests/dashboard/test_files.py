"""Files that were taken from others, and what the pages cost whoever asks for none."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.dashboard.pages.files import FOLDER
from tests.docs.project import ROOT

LISTS = (FOLDER, ROOT / "tests/e2e/dashboard/axe")


@pytest.mark.parametrize("folder", LISTS, ids=("pages", "axe"))
def test_files_of_others_are_unchanged(folder: Path) -> None:
    """What was taken from elsewhere is what its page says."""
    listed = re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (folder / "VENDORED.md").read_text(), re.MULTILINE)
    assert listed
    for name, digest in listed:
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_who_asks_for_no_page_pays_for_none() -> None:
    """The server's own modules load neither the pages nor what they are made with."""
    asked = "import sys, app.main; print([m for m in sys.modules if m.startswith(('jinja2', 'app.dashboard'))])"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, cwd=ROOT)
    assert set(re.findall(r"'([^']+)'", found.stdout)) == {
        "app.dashboard",
        "app.dashboard.opening",
        "app.dashboard.parts",
    }
