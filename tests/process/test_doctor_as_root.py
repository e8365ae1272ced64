"""What root leaves behind: `sudo aisha-webhook doctor` is what the pages say."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ANOTHER = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of two accounts")


@pytest.mark.parametrize(
    "command",
    [["-m", "app.cli"], ["-c", "import sys; from app.cli.main import main; sys.exit(main())"]],
    ids=["module", "script"],
)
@pytest.mark.parametrize(("owner", "is_kept"), [(ANOTHER, False), (0, True)])
def test_root_leaves_no_bytecode_among_another_s_code(
    tmp_path: Path, command: list[str], owner: int, *, is_kept: bool
) -> None:
    """Called by root, the command writes no __pycache__ into a folder that its owner must be able to replace."""
    shutil.copytree(ROOT / "app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path, *tmp_path.rglob("*")):
        os.chown(path, owner, owner)
    done = subprocess.run(
        [sys.executable, *command, "doctor", "teeth"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert any(tmp_path.rglob("__pycache__")) == is_kept
