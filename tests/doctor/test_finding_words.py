"""The words of the doctor: trouble has a remedy, and commands that a shell can run."""

import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from importlib import import_module

import pytest

from app.doctor.finding import Catalogue, Level, Wording, finding
from app.doctor.report import INDENT
from app.domain.language import Language
from tests.docs.project import modules

PLACE = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
NUMBERS = {"port": "8443"}  # is a number by its type, so commands may have it inside quotes
HOSTILE = "it's; touch /tmp/owned $(id) \n--"


def catalogues() -> dict[str, Wording]:
    """Every catalogue of the server by code, those of the certificate included."""
    found: dict[str, Wording] = {}
    for path, module in modules():
        for node in module.body:
            match node:
                case ast.AnnAssign(target=ast.Name(id=name), annotation=ast.Name(id="Catalogue"), value=ast.Dict()):
                    catalogue: Catalogue = getattr(import_module(".".join(path.with_suffix("").parts)), name)
                    found |= {code: wording for code, wording in catalogue.items() if isinstance(wording, Wording)}
    return found


WORDINGS = catalogues()


def facts(wording: Wording, value: str) -> dict[str, str]:
    names = PLACE.findall(f"{wording.text} {wording.remedy} {wording.command}")
    return {name: NUMBERS.get(name, value) for name in names}


def test_trouble_comes_with_a_remedy() -> None:
    """A warning or a fail says what to do."""
    for code in [code for code, wording in WORDINGS.items() if wording.level is not Level.OK]:
        assert WORDINGS[code].remedy, code


def test_every_command_is_a_command() -> None:
    """bash reads every command, whatever the facts hold, and a hostile fact stays one word of it."""
    for code in [code for code, wording in WORDINGS.items() if wording.command]:
        wording = WORDINGS[code]
        told = finding(WORDINGS, code, "en", **facts(wording, HOSTILE))
        if wording.command != "{question}":
            subprocess.run(["bash", "-n", "-c", told.command], check=True)
        words = [name for name in PLACE.findall(wording.command) if name not in NUMBERS]
        assert told.command.count(shlex.quote(HOSTILE)) == len(words), code


def longest(language: Language) -> Iterator[tuple[int, str]]:
    """The length of each line of a report whose facts have twenty letters each, with its code."""
    for code, wording in WORDINGS.items():
        told = finding(WORDINGS, code, language, **facts(wording, "x" * 20))
        for part in (f"{told.text}  [{code}]", told.remedy, told.command):
            yield len(INDENT) + len(part or ""), code


@pytest.mark.parametrize("language", ["ru", "en"])
def test_no_line_is_longer_than_two_of_a_terminal(language: Language) -> None:
    """With facts of a usual length every line of a report fits 200 columns."""
    assert [code for length, code in longest(language) if length > 200] == []
