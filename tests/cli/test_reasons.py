"""What the reasons in a list mean, said below it."""

import sys
from pathlib import Path

import pytest

from app.cli import operate
from app.telegram.alert_wording import REASONS

WORDS = {"ru": "orphan: такого обучения нет в базе бота", "en": "orphan: the bot's database has no such training"}


@pytest.mark.parametrize(("language", "words"), WORDS.items())
def test_reasons_are_explained_on_a_terminal(
    language: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Each reason of the list once, in the operator's language; what has no words, and no reason, is passed over."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEFAULT_LANGUAGE", language)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    operate.explain_reasons({"orphan", None, "a reason of tomorrow"})
    assert capsys.readouterr().out == f"\n{words}\n"


def test_a_pipe_holds_rows_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the list with a program gets a line per row and nothing else."""
    operate.explain_reasons(set(REASONS))
    assert capsys.readouterr().out == ""
