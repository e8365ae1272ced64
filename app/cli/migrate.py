"""Bring the database up to date."""

import asyncio
import sys
from typing import Annotated

import typer

from app.bootstrap.database import needs_migration
from app.cli.output import called, say
from app.core.setting_loader import load_settings
from app.db.migrate import migrate as run_migrations
from app.db.tables import HEAD
from app.domain.language import msgid

BEHIND = msgid("behind: run `{cli} migrate`")
UP_TO_DATE = msgid("up to date: {head}")

app = typer.Typer(add_completion=False)


@app.command()
def migrate(
    *, check: Annotated[bool, typer.Option("--check", help="Only say whether migrations are missing.")] = False
) -> None:
    """Bring our tables up to date; the bot's tables are never touched."""
    settings = load_settings()
    if check:
        behind = asyncio.run(needs_migration(settings))
        sys.stdout.write(f"{say(BEHIND, cli=called()) if behind else say(UP_TO_DATE, head=HEAD)}\n")
        raise typer.Exit(int(behind))
    run_migrations(settings.database_url.get_secret_value(), settings.operator_language)
    sys.stdout.write(f"{say(UP_TO_DATE, head=HEAD)}\n")
