"""Whether a command was started where its database is: nothing is made in a folder that was a mistake."""

from pathlib import Path

import app.core.logger  # noqa: F401  a command prints what it found; the log is the server's
from app.catalog import translate
from app.cli.output import called
from app.core.config import Settings
from app.core.setting_loader import ENV_FILE
from app.db.url import sqlite_file
from app.domain.errors import DatabaseUnfit
from app.domain.language import Msgid, msgid

PROJECT = Path(__file__).resolve().parents[2]
USUAL = Path("/opt/aisha-backend")  # where the pages put the project

NOTHING_HERE: Msgid = msgid("There is no .env and no database here ({file}). Go to the project's folder: cd {folder}")
NO_DATABASE: Msgid = msgid("There is no database {file} yet. Make it: {cli} migrate")


def require_database(settings: Settings) -> None:
    """Refuse where SQLite's file is missing, which opening it would make. Raises DatabaseUnfit."""
    file = sqlite_file(settings.database_url.get_secret_value())
    try:
        if file is None or file.exists():
            return
    except PermissionError:  # it may be there; who opens it says for whom
        return
    words = NO_DATABASE if ENV_FILE.exists() else NOTHING_HERE
    folder = PROJECT if any((PROJECT / name).exists() for name in (".env", "data")) else USUAL
    raise DatabaseUnfit([translate(words, settings.operator_language).format(file=file, folder=folder, cli=called())])
