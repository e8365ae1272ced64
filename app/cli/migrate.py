"""Bring the database up to date."""

import asyncio
import sys
from typing import Annotated

import typer

from app.bootstrap import needs_migration
from app.core.setting_loader import load_settings
from app.db.migrate import migrate as run_migrations
from app.db.tables import HEAD

app = typer.Typer(add_completion=False)


@app.command()
def migrate(
    *, check: Annotated[bool, typer.Option("--check", help="Only say whether migrations are missing.")] = False
) -> None:
    """Bring our tables up to date; the bot's tables are never touched."""
    settings = load_settings()
    if check:
        behind = asyncio.run(needs_migration(settings))
        sys.stdout.write("behind: run `aisha-webhook migrate`\n" if behind else f"up to date: {HEAD}\n")
        raise typer.Exit(int(behind))
    run_migrations(settings.database_url.get_secret_value(), settings.operator_language)
    sys.stdout.write(f"up to date: {HEAD}\n")
