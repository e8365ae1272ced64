"""`aisha-webhook copy-database`: what the operator reads, in either language, and how it ends."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.catalog import translate
from app.cli import copy_database
from app.cli.main import app
from app.db.copy_database import closing_statements
from app.db.migrate import migrate
from app.domain.errors import AishaError, CopyFailed, DatabaseUnavailable, OldNotClosed
from app.domain.language import Language

NO_PLACE = "unable to open database file"


@pytest.fixture(autouse=True)
def _moving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old SQLite file and the way to a new one, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/old.db")
    monkeypatch.setenv(copy_database.VARIABLE, f"sqlite:///{tmp_path}/new.db")
    migrate(f"sqlite:///{tmp_path}/old.db")


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["copy-database", *words])


def speak(monkeypatch: pytest.MonkeyPatch, language: Language) -> None:
    monkeypatch.setenv("DEFAULT_LANGUAGE", language)


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(*_urls: str) -> dict[str, int]:
        raise error

    monkeypatch.setattr(copy_database, "copy_database", failing)


@pytest.mark.parametrize(
    ("language", "said"), [("ru", "впишите новый DATABASE_URL"), ("en", "put the new DATABASE_URL")]
)
def test_a_copy_says_what_comes_next(monkeypatch: pytest.MonkeyPatch, language: Language, said: str) -> None:
    """Rows by table, and the next step in the operator's language."""
    speak(monkeypatch, language)
    done = call()
    assert (done.exit_code, done.stderr) == (0, "")
    assert "0 webhook_deliveries" in done.stdout
    assert said in done.stdout


def test_json_is_for_machines() -> None:
    """With --json there is one document and no sentence."""
    assert json.loads(call("--json").stdout)["webhook_deliveries"] == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b" \n", "there is no new address"),
        (b"mysql://somewhere", "is no address of a database"),
        (b"\xff\xfe", "is no address of a database"),
        (None, "No such file"),
    ],
)
def test_a_file_that_does_not_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bytes | None, said: str
) -> None:
    """Empty, no URL, no text, not there: nothing was copied, and why (exit 1)."""
    speak(monkeypatch, "en")
    if given is not None:
        (tmp_path / "new-url").write_bytes(given)
    failed = call("--to-file", str(tmp_path / "new-url"))
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Nothing was copied: ")
    assert said in failed.stderr


def test_the_same_database_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Russian, as everything without DEFAULT_LANGUAGE."""
    monkeypatch.setenv(copy_database.VARIABLE, f"sqlite:///{tmp_path}/old.db")
    failed = call()
    assert failed.exit_code == 1
    assert failed.stderr.startswith("Ничего не скопировано: это одна и та же база")


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize(
    ("error", "code", "facts"),
    [
        (CopyFailed("target_in_use", count=3, table="webhook_deliveries"), 1, ("3", "webhook_deliveries")),
        (CopyFailed("row_differs", table="webhook_deliveries"), 1, ("webhook_deliveries",)),
        (CopyFailed("database", cause=NO_PLACE), 1, (NO_PLACE,)),
        (DatabaseUnavailable(NO_PLACE), 69, (NO_PLACE,)),
    ],
)
def test_nothing_was_copied(
    monkeypatch: pytest.MonkeyPatch, language: Language, error: AishaError, code: int, facts: tuple[str, ...]
) -> None:
    """Whatever stopped it, the first words are that nothing was copied, and the facts follow."""
    speak(monkeypatch, language)
    fail_with(monkeypatch, error)
    failed = call()
    assert failed.exit_code == code
    assert failed.stderr.startswith(translate(copy_database.WORDS["nothing"], language).partition("{")[0])
    assert all(fact in failed.stderr for fact in facts)


@pytest.mark.parametrize("language", ["ru", "en"])
@pytest.mark.parametrize("code", ["old_open", "commit_unknown"])
def test_an_old_database_left_open(monkeypatch: pytest.MonkeyPatch, language: Language, code: str) -> None:
    """Nobody reads that nothing was copied; the statements that close the old database stand there (exit 1)."""
    speak(monkeypatch, language)
    fail_with(monkeypatch, OldNotClosed(code, cause="disk I/O error"))
    half = call()
    assert half.exit_code == 1
    assert translate(copy_database.WORDS["nothing"], language).partition("{")[0] not in half.stderr
    assert "disk I/O error" in half.stderr
    assert all(statement in half.stderr for statement in closing_statements())
