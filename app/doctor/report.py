"""The doctor's findings for people: a line each, the remedy below it, and at the end what to do next."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import typer

from app.catalog import translate
from app.core.text import one_line
from app.doctor.finding import Finding, Level
from app.domain.language import Language, msgid

COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}
MARK_WIDTH = 4
INDENT = " " * (MARK_WIDTH + 2)

WORDS = {
    "done": msgid("Mended:"),
    "nothing": msgid("There was nothing to mend."),
    "total": msgid("In all: {ok} ok, {warn} warn, {fail} fail."),
    "well": msgid("Everything is in order."),
    "next": msgid("Next: {step}"),
    "fixable": msgid("Some of it this command mends: {command}"),
}


def as_row(found: Finding) -> dict[str, Any]:
    """Spell one finding as `--json` does (docs/doctor.md)."""
    row = asdict(found)
    return {name: row[name] for name in ("code", "level", "text", "remedy", "command", "fixable")}


def show(done: Sequence[Finding], found: Sequence[Finding], language: Language, *, fix: bool) -> None:
    """Print what was done and what was found. Colours only on a terminal; control characters are escaped."""
    if fix:
        typer.echo(translate(WORDS["done" if done else "nothing"], language))
        for one in done:
            _print(one)
        typer.echo()
    for one in found:
        _print(one)
    count = Counter(one.level for one in (*done, *found))
    typer.echo()
    typer.echo(translate(WORDS["total"], language).format(**{level.value: count[level] for level in Level}))
    bad = [one for level in (Level.FAIL, Level.WARN) for one in (*done, *found) if one.level is level]
    if not bad:
        typer.echo(translate(WORDS["well"], language))
        return
    if not fix and any(one.fixable for one in bad):
        typer.echo(translate(WORDS["fixable"], language).format(command="aisha-webhook doctor --fix"))
    step = next((one.command or one.remedy for one in bad if one.command or one.remedy), "")
    typer.echo(translate(WORDS["next"], language).format(step=one_line(step)))


def _print(one: Finding) -> None:
    mark = typer.style(f"{one.level.value:<{MARK_WIDTH}}", fg=COLOURS[one.level], bold=one.level is not Level.OK)
    code = typer.style(f"[{one.code}]", dim=True)
    typer.echo(f"{mark}  {one_line(one.text)}  {code}")
    if one.remedy:
        typer.echo(f"{INDENT}{one_line(one.remedy)}")
    if one.command:
        typer.echo(f"{INDENT}$ {one_line(one.command)}")
