"""Examine the installation: what works, what does not, and the command that mends it."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.output import print_json
from app.core.config import Settings
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.doctor import report
from app.doctor.checks import looks_at
from app.doctor.examine import examine
from app.doctor.finding import Finding, Level
from app.doctor.fix import mend
from app.doctor.installation import Installation
from app.doctor.machine import Machine
from app.domain.errors import SettingsInvalid

app = typer.Typer(add_completion=False)


class Part(StrEnum):
    """What may be examined on its own."""

    TLS = "tls"


@app.command()
def doctor(
    part: Annotated[Part | None, typer.Argument(help="Only this: tls.", show_default=False)] = None,
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what is safe to mend; former files are kept.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Examine the installation. Exit 0 when nothing fails, 1 when something does, 78 when settings are wrong."""
    try:
        settings = load_settings()
    except SettingsInvalid as refused:
        if not json:
            raise
        # The same shape as any other answer; worded already, in the language that could be made out.
        print_json([report.as_row(Finding("settings.invalid", Level.FAIL, line)) for line in refused.findings])
        raise typer.Exit(Exit.CONFIG) from None
    done, found = asyncio.run(visit(settings, Machine(), only_tls=part is Part.TLS, fix=fix))
    if json:
        print_json([report.as_row(one) for one in (*done, *found)])
    else:
        report.show(done, found, settings.operator_language, fix=fix)
    raise typer.Exit(verdict([*done, *found], strict=strict))


async def visit(
    settings: Settings, machine: Machine, *, only_tls: bool, fix: bool
) -> tuple[list[Finding], list[Finding]]:
    """Mend if asked to, then look; return what was done and what was found."""
    done = await mend(settings, machine, only_tls=only_tls) if fix else []
    installation = Installation(settings, machine)
    try:
        return done, await examine(looks_at(installation, only_tls=only_tls), settings.operator_language)
    finally:
        await installation.close()


def verdict(found: list[Finding], *, strict: bool) -> Exit:
    """Turn findings into the exit code."""
    bad = (Level.FAIL, Level.WARN) if strict else (Level.FAIL,)
    return Exit.CHECK_FAILED if any(one.level in bad for one in found) else Exit.OK
