"""The project as its documentation sees it: files, Markdown tables, names found in the code."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@cache
def project_files() -> tuple[Path, ...]:
    """Every file that is tracked, or would be: relative to the root, as they stand on disk."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (Path(name) for name in listed.stdout.split("\0") if name)
    return tuple(sorted(path for path in paths if (ROOT / path).is_file()))


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def program(name: str, remedy: str, path: str | None = None) -> str:
    """Find a program that judges our files, or skip; where everything is wanted (E2E=full), fail."""
    found = shutil.which(name, path=path)
    if found is None:
        missing = f"needs {name}: {remedy}"
        if os.environ.get("E2E") == "full":  # noqa: TID251  a setting of the tests, not of the server
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def between(text: str, mark: str) -> str:
    """Everything that stands between `<!-- mark:begin -->` and `<!-- mark:end -->`, which may come several times."""
    parts = re.findall(rf"<!-- {mark}:begin -->\n(.*?)<!-- {mark}:end -->", text, re.DOTALL)
    assert parts, f"there are no marks {mark}"
    return "".join(parts)


def rows(table: str) -> list[list[str]]:
    """Read the rows of Markdown tables as cells, without their heads."""
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("\\|", "|") for cell in line] for line in lines]
    rules = {number for number, line in enumerate(cells) if all(set(cell) <= set("-: ") for cell in line)}
    return [line for number, line in enumerate(cells) if number not in rules and number + 1 not in rules]


def names(table: str) -> list[str]:
    """Read what stands in backquotes in the first cell of each row."""
    return [name for row in rows(table) for name in re.findall(r"`([^`]+)`", row[0])]


@cache
def modules() -> tuple[tuple[Path, ast.Module], ...]:
    """Every module of the server, parsed; the twins play others and have names of their own."""
    paths = [path for path in project_files() if path.parts[0] == "app" and path.suffix == ".py"]
    return tuple(
        (path, ast.parse((ROOT / path).read_text(encoding="utf-8"))) for path in paths if path.parts[1] != "twins"
    )


@cache
def calls() -> tuple[tuple[Path, str, ast.Call], ...]:
    """Every call in the server: where, the last word of what is called, and the call."""
    return tuple(_calls())


def _calls() -> Iterator[tuple[Path, str, ast.Call]]:
    for path, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                match node.func:
                    case ast.Name(id=name) | ast.Attribute(attr=name):
                        yield path, name, node


def constants(node: ast.AST) -> Iterator[str]:
    """Every text that an expression may come to."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp(body=one, orelse=other):
            yield from constants(one)
            yield from constants(other)
        case ast.BoolOp(values=values):
            for value in values:
                yield from constants(value)
