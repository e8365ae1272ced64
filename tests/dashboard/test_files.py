"""Files that were taken from others, and what the pages cost whoever asks for none."""

import hashlib
import re
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
