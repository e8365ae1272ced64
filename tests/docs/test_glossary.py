"""One word, one meaning: the names in the code are the words of the glossary."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.docs.project import ROOT, page, project_files, rows

FORBIDDEN = {"handle", "process", "manager", "helper", "util", "utils", "common", "data", "info", "misc", "service"}
VOCABULARY = {
    "request_id",
    "job",
    "kind",
    "topic",
    "subject",
    "delivery",
    "inbox",
    "outbox",
    "duplicate",
    "training",
    "trainer",
    "outcome",
    "artifact",
    "plan",
    "verdict",
    "due_at",
    "claim",
    "lease",
    "attempt",
    "bury",
    "orphan",
    "notification",
    "owner",
    "operator",
    "redrive",
    "ignore",
    "finding",
    "chore",
    "slot",
    "line",
    "ledger",
    "quota",
    "authenticate",
    "write check",
}
AFTER_WHAT_HAPPENED = {
    "errors.py",
    "send_outcome.py",
    "submit_outcome.py",
}  # classes named after events
MODULES = [path for path in project_files() if path.parts[0] == "app" and path.suffix == ".py"]


def classes(path: Path) -> Iterator[str]:
    """Name every class of a module, nested ones too."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield node.name


def split(name: str) -> list[str]:
    """Split `ClaimedDelivery` or `group_commit` into lower-case words."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)]


@cache
def defined() -> set[str]:
    """The words of the glossary: bold in the first column, and italic where a meaning names its parts."""
    table = rows(page("docs/glossary.md"))
    bold = {word for row in table for word in row[0].strip("*").split(", ")}
    return bold | {word for row in table for word in re.findall(r"(?<!\*)\*([a-z ]+)\*(?!\*)", row[1])}


def is_known(word: str) -> bool:
    """Tell whether the glossary has a word, or the word that its plural or participle is made from."""
    return any(form in defined() for form in (word, word.removesuffix("s"), word.removesuffix("ed")))


def test_no_class_name_has_two_meanings() -> None:
    """Whoever reads a class's name anywhere in the server knows which one it is."""
    counted = Counter(name for path in MODULES for name in classes(path))
    assert len(counted) > 100
    assert [name for name, times in counted.items() if times > 1] == []


def test_no_name_says_nothing() -> None:
    """No module, package or class is called a manager, a helper, a service or the like."""
    for path in MODULES:
        named = [*path.with_suffix("").parts, *classes(path)]
        assert {word for name in named for word in split(name)} & FORBIDDEN == set(), path


def test_the_vocabulary_is_explained() -> None:
    """Each word of the domain has its row."""
    assert VOCABULARY - defined() == set()


def test_a_class_of_the_domain_is_made_of_the_glossary_s_words() -> None:
    """A noun of the domain stands in the glossary, or is a plain compound of words that do."""
    for name in [
        name
        for path in MODULES
        if path.parts[1] == "domain" and path.name not in AFTER_WHAT_HAPPENED
        for name in classes(path)
        if not name.startswith("_")
    ]:
        words = split(name)
        assert " ".join(words) in defined() or [word for word in words if not is_known(word)] == [], name


def test_the_glossary_is_in_order() -> None:
    """Each word has one row, and is found where the alphabet puts it."""
    words = [row[0].strip("*") for row in rows(page("docs/glossary.md"))]
    assert words == sorted(set(words))
