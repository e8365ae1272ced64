"""Copy the database while the server runs."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.cli.ground import require_database
from app.cli.output import called, called_again, fail, print_json, say
from app.core.clock import SystemClock
from app.core.exit_codes import Exit
from app.core.last_words import PASSING
from app.core.setting_loader import load_settings
from app.db import schema
from app.db.backup import back_up
from app.db.closed_file import closed_file
from app.db.engine import open_database
from app.domain.errors import BackupFailed, DatabaseUnfit
from app.domain.language import msgid

NO_BACKUP = msgid("no backup was made: {why}")
NO_TABLES = msgid("our tables are not there yet; run {cli} migrate")
WRITTEN = msgid("{path} ({bytes} bytes)")

app = typer.Typer(add_completion=False)


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="Where the copy goes.")] = Path("data/backups"),
    *,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy the database into a folder and prove the copy; the server may run meanwhile."""
    settings = load_settings()
    url = settings.database_url.get_secret_value()
    try:
        require_database(settings)
    except DatabaseUnfit as unfit:
        fail(say(NO_BACKUP, why=unfit), Exit.CONFIG, as_json=json)
    if closed := closed_file(url, settings.operator_language, called_again()):
        fail(closed, Exit.CONFIG, as_json=json)
    if not asyncio.run(_has_our_tables(url)):
        fail(say(NO_BACKUP, why=say(NO_TABLES, cli=called())), Exit.CONFIG, as_json=json)
    try:
        path = back_up(url, folder, SystemClock().now())
    except OSError as error:
        code = Exit.TRY_AGAIN if error.errno in PASSING else Exit.CONFIG
        fail(say(NO_BACKUP, why=error), code, as_json=json)
    except BackupFailed as error:
        fail(say(NO_BACKUP, why=error), Exit.CHECK_FAILED, as_json=json)
    if json:
        print_json({"path": str(path), "bytes": path.stat().st_size})
    else:
        sys.stdout.write(f"{say(WRITTEN, path=path, bytes=path.stat().st_size)}\n")


async def _has_our_tables(url: str) -> bool:
    """Tell whether there is anything of ours: of a database without it no copy is worth having."""
    database = open_database(url)
    try:
        return await database.read(schema.version_of) is not None
    finally:
        await database.close()
