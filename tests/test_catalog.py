"""The operator's texts: English in the code, Russian in `operator.po`; each is found, translated and asked for."""

import ast
import re
import string
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from app import catalog
from app.catalog import LOCALES, OPERATOR, OWNER, load_catalog, translate, translate_all
from app.domain.language import Msgid, msgid

APP = Path(catalog.__file__).parent
PO = LOCALES / "ru" / "LC_MESSAGES" / f"{OPERATOR}.po"
WORD = msgid("the file is empty")


@cache
def marked() -> list[ast.Call]:
    """Every call of `msgid` in the code, but for its definition."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in sorted(APP.rglob("*.py")))
    calls = (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "msgid"]


@cache
def asked() -> set[str]:
    return {str(ast.literal_eval(call.args[0])) for call in marked() if isinstance(call.args[0], ast.Constant)}


@cache
def said() -> dict[str, str]:
    with PO.open("rb") as source:
        return {str(message.id): str(message.string) for message in read_po(source, abort_invalid=True) if message.id}


def blanks(text: str) -> set[str]:
    return {blank for _, blank, _, _ in string.Formatter().parse(text) if blank is not None}


def test_every_mark_holds_one_literal_text() -> None:
    """`make words` finds what `msgid` is called with: a single string that is no expression."""
    wrong = [call.lineno for call in marked() if len(call.args) != 1 or not isinstance(call.args[0], ast.Constant)]
    assert wrong == []


def test_every_text_is_translated_and_every_translation_is_used() -> None:
    """The Russian catalogue holds exactly the texts of the code, each with words (else: make words)."""
    assert asked() - said().keys() == set()
    assert said().keys() - asked() == set()
    assert [text for text, russian in said().items() if not russian] == []


def test_both_languages_have_the_same_blanks() -> None:
    """What is filled in stands in the Russian text as in the English one."""
    assert [text for text, russian in said().items() if blanks(text) != blanks(russian)] == []


def test_english_is_in_the_code_and_russian_in_the_catalogue() -> None:
    """No text of the code is Russian, every translation is."""
    assert [text for text in asked() if re.search("[а-яё]", text)] == []
    assert [text for text, russian in said().items() if not re.search("[А-Яа-яё]", russian)] == []


def test_plural_forms_follow_the_language() -> None:
    """A Russian count takes the form that the rule in the catalogue's head chooses: 21 as one, 11 as many."""
    words = load_catalog(OWNER, "ru")
    one, other, many = (words.ngettext("progress.at_work.minutes", "progress.at_work.minutes", n) for n in (1, 21, 11))
    assert one == other != many


def test_a_text_is_said_in_both_languages() -> None:
    """English is the text itself; nothing stays nothing; a table keeps its keys."""
    assert translate(WORD, "en") == WORD
    assert translate(WORD, "ru") == "файл пуст"
    assert (translate(Msgid(""), "ru"), translate(Msgid("nowhere translated"), "ru")) == ("", "nowhere translated")
    load_catalog.cache_clear()
    assert translate_all({"empty": WORD}, "ru") == {"empty": "файл пуст"}
    assert load_catalog.cache_info().currsize == 0


def test_without_its_catalogue_a_text_is_english(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that cannot open one more file says in English why it ends."""
    monkeypatch.setattr(catalog, "LOCALES", tmp_path)
    load_catalog.cache_clear()
    assert translate(WORD, "ru") == WORD
    assert translate_all({"empty": WORD}, "ru") == {"empty": WORD}


def test_the_catalogue_is_read_when_it_is_asked() -> None:
    """A process that says nothing to its operator never reads the catalogue."""
    code = (
        "import app.main, app.application\n"
        "from app.catalog import load_catalog\nassert load_catalog.cache_info().currsize == 0\n"
        "import sys\nassert 'babel' not in sys.modules and 'pydantic_settings' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
