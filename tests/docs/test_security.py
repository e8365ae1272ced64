"""The pages on security say what is there: tests, files, codes, requirements."""

import ast
import re
from functools import cache

import pytest

from tests.docs.project import ROOT, between, page, rows

INDEX, THREATS, ASVS = "docs/security.md", "docs/security/threats.md", "docs/security/asvs.md"
PAGES = (INDEX, THREATS, ASVS)
FAULTS_OF_OTHERS = "docs/environments.md"

QUOTED = re.compile(r"`([^`\n]+)`")
TEST = re.compile(r"`((?:tests)/[\w/]+\.py)::(test_\w+)`")
FILE = re.compile(r"(?:\.ci|app|bench|deploy|docs|migrations|tests)/[\w./-]*|[\w-]+\.(?:md|py|sh|toml|txt|lock)")
REFUSAL = re.compile(r"(\d{3}) `(\w+)`")
ACTOR = re.compile(r"\*\*([A-Z])\*\* ")
THREAT_ROWS = rows(between(page(THREATS), "threats"))
INPUTS = rows(between(page(INDEX), "input"))
NAMED = sorted({(file, name) for text in map(page, (*PAGES, FAULTS_OF_OTHERS)) for file, name in TEST.findall(text)})


@cache
def functions(file: str) -> frozenset[str]:
    """Name every test of a file; none where there is no such file."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_every_test_named_exists() -> None:
    """A test that proves a row is in the file that the row names."""
    for file, name in NAMED:
        assert name in functions(file), (file, name)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_named_like_a_test_escapes_the_look(path: str) -> None:
    """Whatever holds `::` is spelled as a test is, so that a slip of the pen is not passed over."""
    assert [name for name in QUOTED.findall(page(path)) if "::" in name and not TEST.fullmatch(f"`{name}`")] == []


@pytest.mark.parametrize("path", PAGES)
def test_every_file_named_exists(path: str) -> None:
    """What stands there to be opened can be opened."""
    assert [name for name in QUOTED.findall(page(path)) if FILE.fullmatch(name) and not (ROOT / name).exists()] == []


def test_every_bad_input_has_its_test() -> None:
    """Each row of the table of inputs names a test, and no row is left without an answer."""
    assert INPUTS
    assert [row[0] for row in INPUTS if not row[1] or not TEST.search(row[3])] == []


def test_every_refusal_is_one_of_ours() -> None:
    """Status and code of each refusal are those of docs/errors.md."""
    known = {(row[1], row[0].strip("`")) for row in rows(between(page("docs/errors.md"), "answers"))}
    told = {refusal for row in INPUTS for refusal in REFUSAL.findall(row[1])}
    assert told
    assert told <= known


def test_every_threat_is_answered_or_owned_up_to() -> None:
    """Each threat names a file and a test that stops it, or says that it is not met."""
    assert THREAT_ROWS
    for _, threat, stop, proof, left in THREAT_ROWS:
        assert stop, threat
        assert TEST.search(proof) or (proof == "none" and "not met" in left), threat


def test_every_actor_has_a_threat() -> None:
    """Whoever is introduced appears, and nobody who was not."""
    introduced = set(ACTOR.findall(page(THREATS)))
    assert introduced
    assert {row[0] for row in THREAT_ROWS} - {"all"} == introduced


def test_every_fault_of_others_is_told_with_its_test() -> None:
    """Each row of docs/environments.md says what 0.2.0 did, what happens now, and which test holds it."""
    told = rows(between(page(FAULTS_OF_OTHERS), "others"))
    assert told
    assert [row[0] for row in told if not all(row) or not TEST.search(row[4])] == []
