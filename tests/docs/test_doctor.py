"""docs/doctor.md and docs/doctor-tls.md explain every code that the doctor may give, and no other."""

import ast
from collections.abc import Iterator

import pytest

from app.core.exit_codes import Exit
from app.doctor.finding import Finding, Level
from app.doctor.report import as_row
from tests.docs.project import between, calls, constants, modules, names, page, rows


def is_catalogue(node: ast.stmt) -> bool:
    match node:
        case ast.AnnAssign(annotation=ast.Name(id="Catalogue"), value=ast.Dict()):
            return True
    return False


def worded() -> Iterator[tuple[str, str, str]]:
    """Every entry of a catalogue of words: the room of the doctor it lies in, its code, its level."""
    for path, module in modules():
        for node in module.body:
            if not is_catalogue(node):
                continue
            assert isinstance(node, ast.AnnAssign)
            assert isinstance(node.value, ast.Dict)
            for key, value in zip(node.value.keys, node.value.values, strict=True):
                match key, value:
                    case ast.Constant(value=str(code)), ast.Call() as call:
                        yield path.parts[2], code, level_of(call)


def level_of(call: ast.Call) -> str:
    """The level that a Wording is given, by place or by name."""
    given = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "level")]
    assert isinstance(given[0], ast.Attribute)
    return Level[given[0].attr].value


def described() -> dict[str, str]:
    """The level of each code in the tables of docs/doctor.md."""
    return {row[0].strip("`"): row[1] for row in rows(between(page("docs/doctor.md"), "codes"))}


def test_every_code_is_explained() -> None:
    """docs/doctor.md has each code of the machine, the database, fal and Telegram with its level, and no other."""
    expected = {code: level for package, code, level in worded() if package != "tls"}
    # settings are read before there is a catalogue to word them from
    assert described() == {**expected, "settings.invalid": "fail"}


def test_no_code_stands_twice() -> None:
    """A code belongs to one look: no two catalogues hold the same."""
    codes = [code for _, code, _ in worded()]
    assert sorted(codes) == sorted(set(codes))


def test_every_code_is_given_somewhere() -> None:
    """No catalogue words what no look finds."""
    given = {
        node.value
        for _, module in modules()
        for statement in module.body
        if not is_catalogue(statement)
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant)
    }
    assert {code for _, code, _ in worded()} <= given


def test_the_json_is_as_described() -> None:
    """The table of fields is what --json writes, in its order."""
    table = page("docs/doctor.md").partition("| field | type | holds |")[2].partition("\n\n")[0]
    assert names(f"| field | type | holds |{table}") == list(as_row(Finding("a", Level.OK, "b")))


def test_the_exit_codes_are_as_described() -> None:
    """The table of exit codes names those of the command."""
    table = page("docs/doctor.md").partition("| exit | means |")[2].partition("\n\n")[0]
    listed = {int(row[0]) for row in rows(f"| exit | means |{table}")}
    assert listed == {Exit.OK, Exit.CHECK_FAILED, Exit.USAGE, Exit.CONFIG}


@pytest.mark.parametrize("name", ["json", "strict", "fix"])
def test_every_option_is_explained(name: str) -> None:
    """Each option of the command stands in the table of options."""
    options = {
        text.removeprefix("--")
        for path, called, call in calls()
        if path.as_posix() == "app/cli/doctor.py" and called == "Option"
        for text in (value for argument in call.args for value in constants(argument))
    }
    assert name in options
    assert f"| `--{name}` |" in page("docs/doctor.md")
