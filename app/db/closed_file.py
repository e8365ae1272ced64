"""Why a SQLite database cannot be worked on by this account: said with the command that works. Reads no database."""

import os
from pathlib import Path

from app.catalog import translate
from app.db.url import sqlite_file
from app.domain.language import Language, Msgid, msgid
from app.files.ownership import ownership_of

FOREIGN: Msgid = msgid("The database {path} is closed to {us}: it belongs to {owner}. Run: sudo -u {sudo_name} {again}")
READ_ONLY: Msgid = msgid(
    "The database {path} cannot be written to. Check its rights and its volume: ls -ld {path}; findmnt -T {path}"
)


def closed_file(database_url: str, language: Language, again: str) -> str | None:
    """Say why the file, or the folder that SQLite writes beside it, is closed to us; None where neither is.

    `again` is the command that the file's owner is to run. Raises DatabaseUnfit for a URL that cannot be read.
    """
    file = sqlite_file(database_url)
    if file is None or (path := _closed(file)) is None:
        return None
    owner = ownership_of(path)
    words = FOREIGN if owner.is_foreign else READ_ONLY
    return translate(words, language).format(
        path=path, us=owner.us, owner=owner.owner, sudo_name=owner.sudo_name, again=again
    )


def _closed(file: Path) -> Path | None:
    if os.access(file, os.F_OK):
        if not os.access(file, os.R_OK | os.W_OK):
            return file
        return None if os.access(file.parent, os.W_OK | os.X_OK) else file.parent
    folder = next((parent for parent in file.absolute().parents if os.access(parent, os.F_OK)), None)
    return None if folder is None or os.access(folder, os.W_OK | os.X_OK) else folder
