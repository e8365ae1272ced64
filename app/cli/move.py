"""Move to another database."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError

from app.cli.output import Exit, print_json
from app.core.loading import load_settings
from app.core.sources import environment
from app.core.values import DatabaseUrl
from app.db.moving import CopyFailed, copy_database

VARIABLE = "TARGET_DATABASE_URL"

app = typer.Typer(add_completion=False)


@app.command("copy-database")
def copy(
    *,
    to_file: Annotated[
        Path | None, typer.Option(help=f"File with the new DATABASE_URL; else {VARIABLE} holds it.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Copy our tables from DATABASE_URL into another database, all or nothing; stop the server first.

    The new URL comes from a file or the environment, because everybody on the machine can read an argument.
    """
    settings = load_settings()
    try:
        target = _target(to_file)
        copied = copy_database(settings.database_url.get_secret_value(), target)
    except (CopyFailed, OSError) as error:
        sys.stderr.write(f"nothing was copied: {error}\n")
        raise typer.Exit(Exit.CHECK_FAILED) from None
    if json:
        print_json(copied)
        return
    for name, rows in copied.items():
        sys.stdout.write(f"{rows:>9} {name}\n")
    sys.stdout.write(
        "Now put the new URL into DATABASE_URL and start the server; the old database does nothing any more.\n"
    )


def _target(file: Path | None) -> str:
    given = environment().get(VARIABLE, "") if file is None else file.read_text(encoding="utf-8")
    if not given.strip():
        raise CopyFailed(f"set {VARIABLE}, or give --to-file with the new DATABASE_URL in it")
    try:
        url = TypeAdapter(DatabaseUrl).validate_python(given.strip())
    except ValidationError:
        raise CopyFailed("the new database's URL is none: postgresql://name:password@host/database") from None
    return url.get_secret_value()
