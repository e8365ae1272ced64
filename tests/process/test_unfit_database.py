"""What an operator sees when the database does not let the server work: one line, the right exit code (fault 58)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.exit_codes import Exit
from tests.foreign import Foreign

ROOT = Path(__file__).parents[2]


def run(folder: Path, url: str, *words: str, language: str = "en") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],  # noqa: TID251  for the child
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": url,
            "DEFAULT_LANGUAGE": language,
            "API_PORT": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("language", "said"), [("en", "lacks rights on"), ("ru", "не хватает прав на")])
def test_missing_rights_are_one_line(migrated: Foreign, tmp_path: Path, language: str, said: str) -> None:
    """Starting again changes nothing, so the supervisor is not asked to."""
    done = run(tmp_path, migrated.role_url, "app.main", language=language)
    assert done.returncode == Exit.CONFIG
    [line] = done.stderr.splitlines()
    assert said in line
    assert line.endswith(f"TO {migrated.role};")


@pytest.mark.parametrize("words", [("migrate",), ("migrate", "--check"), ("deliveries", "list")])
def test_a_command_says_the_same(migrated: Foreign, tmp_path: Path, words: tuple[str, ...]) -> None:
    """In one line, with the GRANT."""
    done = run(tmp_path, migrated.role_url, "app.cli", *words)
    assert done.returncode == Exit.CONFIG
    [line] = done.stderr.splitlines()
    assert "GRANT SELECT, INSERT, UPDATE, DELETE ON public.webhook_alerts" in line


def test_a_database_without_writes_is_waited_for(migrated: Foreign, tmp_path: Path) -> None:
    """The server is started again by its supervisor; a command says that the database is not there for it."""
    migrated.run(f"ALTER DATABASE {migrated.database} SET default_transaction_read_only = on")
    for words, code, said in (
        (("app.main",), Exit.TRY_AGAIN, "The database takes no writes (default_transaction_read_only = on)"),
        (("app.cli", "migrate"), Exit.REMOTE_DOWN, "the database takes no writes (default_transaction_read_only = on)"),
    ):
        done = run(tmp_path, migrated.url, *words)
        assert done.returncode == code
        [line] = done.stderr.splitlines()
        assert said in line
