"""Copy the database while the server runs."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import print_json
from app.core.clock import SystemClock
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.db.backup import back_up
from app.domain.errors import BackupFailed

app = typer.Typer(add_completion=False)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="Where the copy goes.")] = Path("data/backups"),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the database into a folder and prove the copy; the server may run meanwhile."""
    settings = load_settings()
    try:
        path = back_up(settings.database_url.get_secret_value(), folder, SystemClock().now())
    except (BackupFailed, OSError) as error:
        sys.stderr.write(f"no backup was made: {error}\n")
        raise typer.Exit(Exit.CHECK_FAILED) from None
    if json:
        print_json({"path": str(path), "bytes": path.stat().st_size})
    else:
        sys.stdout.write(f"{path} ({path.stat().st_size} bytes)\n")
