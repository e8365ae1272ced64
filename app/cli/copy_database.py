"""Move to another database."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import TypeAdapter, ValidationError

from app.catalog import translate_all
from app.cli.output import print_json
from app.core.exit_codes import Exit
from app.core.setting_kinds import DatabaseUrl
from app.core.setting_loader import load_settings
from app.core.setting_sources import environment
from app.db.copy_database import closing_statements, copy_database
from app.domain.errors import CopyFailed, DatabaseUnavailable, OldNotClosed
from app.domain.language import Msgid, msgid

VARIABLE = "TARGET_DATABASE_URL"

WORDS = {
    "nothing": msgid("Nothing was copied: {why}"),
    "no_target": msgid("there is no new address. Set {variable}, or give --to-file with the new DATABASE_URL in it"),
    "no_url": msgid("the new DATABASE_URL is no address of a database: postgresql://name:password@host/database"),
    "file": Msgid("{cause}"),
    "unavailable": msgid("a database does not answer: {cause}"),
    "database": msgid("the database says: {cause}"),
    "same_database": msgid("both are the same database. The new DATABASE_URL must lead to another one"),
    "target_in_use": msgid(
        "the new database already holds rows ({table}: {count}). Take an empty one; "
        "or, if an earlier copy succeeded, there is nothing left to copy: put its DATABASE_URL into .env"
    ),
    "row_differs": msgid(
        "a row of {table} did not arrive as it was. "
        "That is a bug, please report it; on the old database the server works as before"
    ),
    "old_open": msgid(
        "All rows are in the new database, but the old one could not be closed: {cause}\n"
        "Never start a server on the old one: it would do everything a second time. "
        "Put the new DATABASE_URL into .env, and run in the old database (psql or sqlite3):"
    ),
    "commit_unknown": msgid(
        "The connection to the new database broke at the very end: {cause}\n"
        "It holds all rows, or none. Start no server; first run this command again. "
        "If it says that the new database already holds rows, the copy succeeded: "
        "put the new DATABASE_URL into .env, and run in the old database (psql or sqlite3):"
    ),
    "done": msgid(
        "Now put the new DATABASE_URL into .env and start the server; the old database does nothing any more."
    ),
}

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
    Exit 1 when it failed, 69 when one of the databases does not answer.
    """
    settings = load_settings()
    words = translate_all(WORDS, settings.operator_language)
    try:
        copied = copy_database(settings.database_url.get_secret_value(), _target(to_file, words))
    except CopyFailed as failed:
        _give_up(words, words[failed.code].format(**failed.facts))
    except OSError as error:
        _give_up(words, words["file"].format(cause=error))
    except DatabaseUnavailable as error:
        _give_up(words, words["unavailable"].format(cause=error), Exit.REMOTE_DOWN)
    except OldNotClosed as half:
        lines = [words[half.code].format(**half.facts), *(f"  {statement}" for statement in closing_statements())]
        sys.stderr.writelines(f"{line}\n" for line in lines)
        raise typer.Exit(Exit.CHECK_FAILED) from None
    if json:
        print_json(copied)
        return
    for name, rows in copied.items():
        sys.stdout.write(f"{rows:>9} {name}\n")
    sys.stdout.write(f"{words['done']}\n")


def _target(file: Path | None, words: Mapping[str, str]) -> str:
    given = environment().get(VARIABLE, "") if file is None else file.read_text(encoding="utf-8", errors="replace")
    if not given.strip():
        _give_up(words, words["no_target"].format(variable=VARIABLE))
    try:
        url = TypeAdapter(DatabaseUrl).validate_python(given.strip())
    except ValidationError:
        _give_up(words, words["no_url"])
    return url.get_secret_value()


def _give_up(words: Mapping[str, str], why: str, code: Exit = Exit.CHECK_FAILED) -> NoReturn:
    sys.stderr.write(f"{words['nothing'].format(why=why)}\n")
    raise typer.Exit(code)
