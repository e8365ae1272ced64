"""Commands in the wrong folder, by the wrong account, without a database: one sentence, one code, nothing made."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from app.cli import ground
from app.core.config import Settings
from app.domain.errors import DatabaseUnfit

ROOT = Path(__file__).parents[2]
LAYING_DOWN = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]


def call(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person would; root lays down the right to ignore permissions."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251  for the child
    lead = LAYING_DOWN if os.geteuid() == 0 else []
    return subprocess.run(
        [*lead, sys.executable, "-m", *words],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


READING = [
    ("deliveries", "list"),
    ("deliveries", "show", "1"),
    ("notifications", "list"),
    ("jobs", "list"),
    ("why", "r1"),
    ("reconcile",),
    ("backup",),
    ("try",),
]


@pytest.mark.parametrize("words", READING, ids=" ".join)
def test_reading_makes_nothing_in_a_wrong_folder(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Where there is neither .env nor a database the folder is named and left empty, whatever was asked."""
    done = call(tmp_path, "app.cli", *words)
    assert (done.returncode, list(tmp_path.iterdir())) == (78, [])
    assert "В этой папке нет .env и базы (data/aisha.db)" in done.stderr
    assert "cd /" in done.stderr


def test_with_settings_the_next_command_makes_the_database(tmp_path: Path) -> None:
    """Beside a .env the folder is right: the database is only to be made."""
    (tmp_path / ".env").write_text("DEFAULT_LANGUAGE=en\n")
    done = call(tmp_path, "app.cli", "deliveries", "list")
    assert (done.returncode, [path.name for path in tmp_path.iterdir()]) == (78, [".env"])
    assert done.stderr.startswith("There is no database data/aisha.db yet. Make it: ")
    assert done.stderr.rstrip().endswith(" migrate")


@pytest.mark.parametrize("words", [words for words in READING if words[0] != "try"], ids=" ".join)
def test_an_error_is_json_where_json_was_asked_for(tmp_path: Path, words: tuple[str, ...]) -> None:
    """A program that reads stdout gets an object with the sentence and the exit code, never nothing."""
    done = call(tmp_path, "app.cli", *words, "--json")
    told = orjson.loads(done.stdout)
    assert (told["exit_code"], "В этой папке нет .env" in told["error"]) == (done.returncode, True)


@pytest.mark.parametrize(
    "words",
    [
        ("app.main",),
        ("app.cli", "migrate"),
        ("app.cli", "deliveries", "list"),
        ("app.cli", "backup"),
        ("app.cli", "reconcile"),
    ],
    ids=" ".join,
)
def test_read_only_data_is_one_trouble_with_one_code(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Whoever meets a database that this account may not write ends with 78 and names the file."""
    assert call(tmp_path, "app.cli", "migrate").returncode == 0
    folder = tmp_path / "data"
    for path in (*folder.iterdir(), folder):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        done = call(tmp_path, *words, SSL_ENABLED="false", API_PORT="0")
    finally:
        folder.chmod(0o755)
    assert (done.returncode, done.stderr.splitlines()[-1].partition(".")[0]) == (78, "В базу data/aisha")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize(
    "words",
    [("deliveries", "list"), ("deliveries", "show", "1"), ("jobs", "list"), ("why", "r1"), ("migrate",), ("backup",)],
    ids=" ".join,
)
def test_a_forgotten_sudo_is_told_with_the_account(tmp_path: Path, words: tuple[str, ...]) -> None:
    """Whose database it is, and the same command once more as that account; nobody hears of a file that cannot open."""
    assert call(tmp_path, "app.cli", "migrate").returncode == 0
    owner = pwd.getpwnam("daemon")
    for path in (*(tmp_path / "data").iterdir(), tmp_path / "data"):
        os.chown(path, owner.pw_uid, owner.pw_gid)
        path.chmod(0o700 if path.is_dir() else 0o600)
    done = call(tmp_path, "app.cli", *words, DEFAULT_LANGUAGE="en")
    assert done.returncode == 78
    assert "belongs to daemon. Run: sudo -u daemon " in done.stderr
    assert done.stderr.rstrip().endswith(" ".join(words))


def test_the_usual_folder_is_named_where_the_project_was_never_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A folder of code without .env and data is no place to send anybody to."""
    monkeypatch.setattr(ground, "PROJECT", tmp_path)
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    with pytest.raises(DatabaseUnfit, match="cd /opt/aisha-backend"):
        ground.require_database(settings)
