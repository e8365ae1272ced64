"""A page in two languages says the same: headings in pairs, commands to the letter, tables row by row."""

import re
from itertools import zip_longest

import pytest

from tests.docs.project import ROOT, page, rows

PAIRS = [
    ("README.md", "README.ru.md"),
    *((f"docs/{name}.md", f"docs/{name}.ru.md") for name in ("install", "operate", "settings", "runbook", "dashboard")),
]
IN_ENGLISH = "DEFAULT_LANGUAGE=en "  # how an English reader has the console speak
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DEMO = re.compile(r"<!-- demo:begin -->.*?<!-- demo:end -->", re.DOTALL)  # in two languages: tests/process/test_demo.py
MARK = re.compile(r"^<!-- .*? -->$", re.MULTILINE)

NAMES = {"# aisha-webhook", "## 5. systemd"}

both = pytest.mark.parametrize(("english", "russian"), PAIRS)


def headings(name: str) -> list[str]:
    return re.findall(r"^#+ .+$", FENCE.sub("", page(name)), re.MULTILINE)


def cyrillic(text: str) -> bool:
    return re.search("[а-яё]", text, re.IGNORECASE) is not None


@both
def test_headings_correspond(english: str, russian: str) -> None:
    """The same number, depth and step for step; a number in front stays."""
    pairs = list(zip_longest(headings(english), headings(russian), fillvalue=""))
    for one, other in pairs:
        assert one.split()[0] == other.split()[0], (one, other)
        assert re.findall(r"\d+\.", one) == re.findall(r"\d+\.", other), (one, other)


@both
def test_commands_are_the_same(english: str, russian: str) -> None:
    """Every block in its order, answers included; the language of the console is all that differs."""
    one, other = (FENCE.findall(DEMO.sub("", page(name))) for name in (english, russian))
    assert [(language, text.replace(IN_ENGLISH, "")) for language, text in one] == other
    assert IN_ENGLISH not in page(russian).replace("`DEFAULT_LANGUAGE=en`", "")


@both
def test_marks_are_the_same(english: str, russian: str) -> None:
    """What a block needs, and where a table begins, does not depend on the language."""
    assert MARK.findall(page(english)) == MARK.findall(page(russian))


@both
def test_tables_have_the_same_rows(english: str, russian: str) -> None:
    """The names in the first cells are the same, and in the same order."""
    first = [re.findall(r"`([^`]+)`", row[0]) for row in rows(page(english))]
    assert first == [re.findall(r"`([^`]+)`", row[0]) for row in rows(page(russian))]


@both
def test_links_lead_to_the_reader_s_language(english: str, russian: str) -> None:
    """A page that exists in Russian is linked in Russian from the Russian one, but for the switch at the top."""
    translated = {(ROOT / one).resolve() for one, _ in PAIRS}
    links = re.findall(r"\]\(([^)#\s]+)", page(russian).partition("\n## ")[2])
    assert [link for link in links if ((ROOT / russian).parent / link).resolve() in translated] == []
    assert f"]({russian.rpartition('/')[2]})" in page(english)
    assert f"]({english.rpartition('/')[2]})" in page(russian)


@both
def test_each_page_is_in_its_language(english: str, russian: str) -> None:
    """Headings of the Russian page are Russian, unless they are a name; the English page has none."""
    assert [heading for heading in headings(english) if cyrillic(heading)] == []
    assert {heading for heading in headings(russian) if not cyrillic(heading)} <= NAMES
