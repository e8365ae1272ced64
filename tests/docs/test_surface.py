"""What others build on is what tests/docs/surface says, which begins with version 0.2.0: any change of it fails here.

There is one file per list, one line per entry. UPDATE writes them anew for a change that is meant.
"""

import ast
import json
import os
from collections.abc import Callable, Iterator
from enum import Enum
from types import GenericAlias
from typing import Any

import pytest
import typer
from babel.messages.pofile import read_po
from starlette.routing import Mount, Route

from app.application import create_app

# Where the code lies is said here and nowhere below; the rest is found wherever in app/ it stands.
from app.cli.main import app as command_line
from app.cli.setting_page import default_text
from app.core.config import Settings
from app.core.setting_meta import env_name, is_secret, names
from app.doctor.tls.voice import say_broken
from app.domain.alert import REMEDY, Condition
from app.routers.openapi import describe
from app.tls.causes import CAUSES
from app.tls.pair_files import PairBroken
from tests.docs.project import ROOT, calls, modules, project_files
from tests.docs.test_codes import codes_in_the_code, events_in_the_code, reasons_in_the_code
from tests.docs.test_doctor import worded

SURFACE = ROOT / "tests/docs/surface"
UPDATE = "UPDATE_SURFACE=1 .venv/bin/python -m pytest tests/docs/test_surface.py"


def commands() -> Iterator[str]:
    """Every command, and each of its options and arguments with type, bounds and default."""
    group: Any = typer.main.get_command(command_line)
    context = group.make_context(group.name, [], resilient_parsing=True)
    waiting: list[tuple[str, Any]] = [(group.name, group)]
    for path, command in waiting:
        yield path
        yield from (f"{path} {parameter(one)}" for one in command.params)
        if hasattr(command, "list_commands"):
            names = command.list_commands(context)
            waiting += [(f"{path} {name}", command.get_command(context, name)) for name in names]


def parameter(one: Any) -> str:
    """Spell one parameter: `--limit: int 1..10000 = 50`, `<keys>: list[str], required`."""
    is_option = one.param_type_name == "option"
    name = "/".join((*one.opts, *one.secondary_opts)) if is_option else f"<{one.name}>"
    bounds = "" if one.min is None and one.max is None else f" {one.min}..{one.max}"
    default = "" if one.default is None else f" = {one.default}"
    required = ", required" if one.required else ""
    return f"{name}: {kind(one.type_descriptor.annotation)}{bounds}{default}{required}"


def kind(annotation: Any) -> str:
    """Spell a type by what may be typed, not by where it is defined."""
    if isinstance(annotation, GenericAlias):
        return f"{annotation.__origin__.__name__}[{', '.join(map(kind, annotation.__args__))}]"
    if issubclass(annotation, Enum):
        return " | ".join(str(choice.value) for choice in annotation)
    return str(annotation.__name__)


def endpoints() -> Iterator[str]:
    """Every path with its method; the webhook's, which is no route, is in the description."""
    application = create_app(Settings(api_debug=True))
    for path, item in describe(application)["paths"].items():
        yield from (f"{path} {method.upper()}" for method in item)
    for route in application.routes:
        match route:
            case Route(path=path, methods=set(methods)):
                yield from (f"{path} {method} with API_DEBUG" for method in methods)
            case Mount(path=path):
                yield f"{path}/… GET with API_DEBUG"


def settings() -> Iterator[str]:
    for field, info in Settings.model_fields.items():
        others = [*names(field, info)[1:], *([f"{env_name(field)}_FILE"] if is_secret(info) else [])]
        yield f"{env_name(field)}={default_text(field)}{''.join(f' (= {other})' for other in others)}"


def exit_codes() -> Iterator[str]:
    for _, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef) and "IntEnum" in {ast.unparse(base) for base in node.bases}:
                yield from (ast.unparse(line) for line in node.body if isinstance(line, ast.Assign))


def log_events() -> Iterator[str]:
    for event, (level, fields, traced) in events_in_the_code().items():
        yield f"{event}: {level}{''.join(f' {field}' for field in sorted(fields))}{', traceback' if traced else ''}"


def reasons() -> set[str]:
    """Reasons of deliveries and of notifications in one list: they are told apart by where the code lies."""
    return set[str]().union(*reasons_in_the_code())


def findings() -> Iterator[str]:
    """Codes of the catalogues, of a pair that cannot be served, and those that are given without a catalogue."""
    yield from (f"{code}: {level}" for _, code, level in worded())
    for cause in CAUSES:
        found = say_broken(PairBroken(cause, "", "", "en"), "en")
        yield f"{found.code}: {found.level}"
    for _, name, call in calls():
        match call.args:
            case [ast.Constant(value=str(code)), ast.Attribute(value=ast.Name(id="Level"), attr=level), *_] if (
                name == "Finding"
            ):
                yield f"{code}: {level.lower()}"


def alerts() -> Iterator[str]:
    yield from (f"{condition}: {REMEDY[condition]}" for condition in Condition)


def messages() -> Iterator[str]:
    """Every text of the messages to owners and the operator, by language."""
    for path in project_files():
        # What the operator's pages say is no interface, and neither are the Russian words of other texts.
        if path.parts[0] == "app" and path.name == "messages.po":
            with (ROOT / path).open("rb") as source:
                catalogue = read_po(source, abort_invalid=True)
            yield from (f"{path.parts[-3]} {one.id}: {one.string}" for one in catalogue if one.id)


LISTS = (commands, endpoints, settings, exit_codes, log_events, codes_in_the_code, reasons, findings, alerts, messages)


@pytest.mark.parametrize("collect", LISTS, ids=lambda collect: collect.__name__)
def test_the_surface_is_as_it_was(collect: Callable[[], Iterator[str] | set[str]]) -> None:
    """Nothing that others build on is added, renamed or lost unnoticed."""
    kept, current = SURFACE / f"{collect.__name__}.json", sorted(set(collect()))
    if os.environ.get("UPDATE_SURFACE") == "1":  # noqa: TID251  a setting of the tests, not of the server
        kept.write_text(json.dumps(current, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    expected = json.loads(kept.read_text(encoding="utf-8"))
    missing = [f"- {entry}" for entry in expected if entry not in current]
    added = [f"+ {entry}" for entry in current if entry not in expected]
    if missing or added:
        pytest.fail("\n".join([f"{kept.name}:", *missing, *added, f"If this is meant: {UPDATE}"]), pytrace=False)
