"""The pages on security say what is there: tests, files, codes, requirements."""

import ast
import re
from collections import Counter
from functools import cache

import pytest

from tests.docs.project import ROOT, between, page, rows

INDEX, THREATS, ASVS = "docs/security.md", "docs/security/threats.md", "docs/security/asvs.md"
PAGES = (INDEX, THREATS, ASVS)
FAULTS_OF_OTHERS = "docs/environments.md"

QUOTED = re.compile(r"`([^`\n]+)`")
TEST = re.compile(r"`((?:tests)/[\w/]+\.py)::(test_\w+)`")
FILE = re.compile(r"(?:\.ci|app|bench|deploy|docs|migrations|tests)/[\w./-]*|[\w-]+\.(?:md|py|sh|toml|txt|lock)")
EVIDENCE = re.compile(rf"(?:{TEST.pattern}|lint|read)")
REFUSAL = re.compile(r"(\d{3}) `(\w+)`")
ACTOR = re.compile(r"\*\*([A-Z])\*\* ")
PROVED, OPEN, POINTLESS = ("met", "in part"), "not met", "n/a"

# The n-th digit is the level of the section's n-th requirement, in ASVS 5.0.0.
LEVELS = {
    "1.2": "1111122223",
    "2.2": "112",
    "2.3": "12223",
    "2.4": "23",
    "3.2": "113",
    "3.3": "12223",
    "3.4": "11222233",
    "3.5": "11122333",
    "4.1": "12233",
    "4.2": "23333",
    "5.2": "112333",
    "5.3": "113",
    "6.3": "11223333",
    "7.2": "1111",
    "8.2": "1123",
    "8.3": "133",
    "11.1": "2233",
    "11.2": "22233",
    "11.3": "11233",
    "11.4": "1222",
    "11.5": "23",
    "12.1": "12233",
    "12.2": "11",
    "12.3": "22223",
    "13.1": "2333",
    "13.2": "222223",
    "13.3": "2233",
    "13.4": "1222233",
    "14.2": "12223333",
    "14.3": "122",
    "15.1": "12233",
    "15.2": "12233",
    "15.3": "1222222",
    "15.4": "3333",
    "16.1": "2",
    "16.2": "22222",
    "16.3": "2222",
    "16.4": "222",
    "16.5": "2223",
}
STANDARD = {f"{section}.{n}": level for section, levels in LEVELS.items() for n, level in enumerate(levels, 1)}
STANDARD["1.3.6"] = "2"  # of its section the only one that concerns us

REQUIREMENTS = rows(between(page(ASVS), "asvs"))
THREAT_ROWS = rows(between(page(THREATS), "threats"))
INPUTS = rows(between(page(INDEX), "input"))
NAMED = sorted({(file, name) for text in map(page, (*PAGES, FAULTS_OF_OTHERS)) for file, name in TEST.findall(text)})


@cache
def functions(file: str) -> frozenset[str]:
    """Name every test of a file; none where there is no such file."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def ordinal(requirement: str) -> tuple[int, ...]:
    return tuple(map(int, requirement.split(".")))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_every_test_named_exists(file: str, name: str) -> None:
    """A test that proves a row is in the file that the row names."""
    assert name in functions(file)


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


def test_requirements_are_unique_and_in_order() -> None:
    """Ids are the standard's, each once, in its order."""
    ids = [row[0] for row in REQUIREMENTS]
    assert set(ids) <= set(STANDARD)
    assert ids == sorted(set(ids), key=ordinal)


@pytest.mark.parametrize("section", ["1.3", *LEVELS])
def test_every_section_is_there(section: str) -> None:
    """Each section that concerns us has a row, and one for each of its requirements of levels 1 and 2."""
    told = {row[0] for row in REQUIREMENTS if row[0].startswith(f"{section}.")}
    assert told
    assert told >= {name for name, level in STANDARD.items() if name.startswith(f"{section}.") and level in "12"}


def test_levels_are_the_standard_s() -> None:
    """The second column says the requirement's level."""
    assert [row[0] for row in REQUIREMENTS if row[1] != STANDARD[row[0]]] == []


@pytest.mark.parametrize("row", REQUIREMENTS, ids=[row[0] for row in REQUIREMENTS])
def test_every_verdict_is_borne_out(row: list[str]) -> None:
    """Met and met in part show how and by what; not met says what it would take; n/a says why."""
    _, _, asked, verdict, how, proof = row
    assert asked
    assert how
    if verdict in PROVED:
        assert proof
        assert [part for part in proof.split(", ") if not EVIDENCE.fullmatch(part)] == []
    else:
        assert verdict in (OPEN, POINTLESS)
        assert proof == ""
        assert verdict == POINTLESS or "It takes" in how


def test_the_count_is_the_table_s() -> None:
    """How many are met is what the table adds up to."""
    told = {row[0]: int(row[1]) for row in rows(between(page(ASVS), "count"))}
    assert told == Counter(row[3] for row in REQUIREMENTS)
