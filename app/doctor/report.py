"""The doctor's findings for people: a line each, the remedy below it, and at the end what to do next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from app.core.text import one_line
from app.doctor.finding import Finding, Level
from app.domain.language import Language, pick

COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
MARK_WIDTH = 4
INDENT = " " * (MARK_WIDTH + 2)

WORDS = {
    "done": ("Исправлено:", "Mended:"),
    "nothing": ("Исправлять нечего.", "There was nothing to mend."),
    "total": ("Итого: {ok} ok, {warn} warn, {fail} fail.", "In all: {ok} ok, {warn} warn, {fail} fail."),
    "well": ("Всё в порядке.", "Everything is in order."),
    "next": ("Дальше: {step}", "Next: {step}"),
    "fixable": ("Часть исправит сама команда: {command}", "Some of it this command mends: {command}"),
}


def as_row(found: Finding) -> dict[str, Any]:
    """Spell one finding as `--json` does (docs/doctor.md)."""
    row = asdict(found)
    return {name: row[name] for name in ("code", "level", "text", "remedy", "command", "fixable")}


def show(done: Sequence[Finding], found: Sequence[Finding], language: Language, *, fix: bool) -> None:
    """Print what was done and what was found. Colours only on a terminal; control characters are escaped."""
    if fix:
        typer.echo(pick(WORDS["done" if done else "nothing"], language))
        for one in done:
            _print(one)
        typer.echo()
    for one in found:
        _print(one)
    count = Counter(one.level for one in (*done, *found))
    typer.echo()
    typer.echo(pick(WORDS["total"], language).format(**{level.value: count[level] for level in Level}))
    bad = [one for level in (Level.FAIL, Level.WARN) for one in (*done, *found) if one.level is level]
    if not bad:
        typer.echo(pick(WORDS["well"], language))
        return
    if not fix and any(one.fixable for one in bad):
        typer.echo(pick(WORDS["fixable"], language).format(command="aisha-webhook doctor --fix"))
    step = next((one.command or one.remedy for one in bad if one.command or one.remedy), "")
    typer.echo(pick(WORDS["next"], language).format(step=one_line(step)))


def _print(one: Finding) -> None:
    mark = typer.style(f"{one.level.value:<{MARK_WIDTH}}", fg=COLOURS[one.level], bold=one.level is not Level.OK)
    code = typer.style(f"[{one.code}]", dim=True)
    typer.echo(f"{mark}  {one_line(one.text)}  {code}")
    if one.remedy:
        typer.echo(f"{INDENT}{one_line(one.remedy)}")
    if one.command:
        typer.echo(f"{INDENT}$ {one_line(one.command)}")
