"""Why a step fails: a driver's error, or any other, becomes a reason that can be shown to anybody."""

import re
import sqlite3
from collections.abc import Iterator

from sqlalchemy import exc

from app.domain.errors import DatabaseUnavailable
from app.domain.steps import StepReason

# The first characters of a SQLSTATE (PostgreSQL, appendix A), the longest that fits first.
STATES = (
    ("42501", StepReason.RIGHT_MISSING),
    ("25006", StepReason.READ_ONLY),
    ("P0001", StepReason.RAISED_INSIDE),
    ("55P03", StepReason.LOCKED),
    ("57014", StepReason.LOCKED),  # statement_timeout, which is ours: mostly somebody holds what is asked for
    ("57P", StepReason.DATABASE_AWAY),
    ("08", StepReason.DATABASE_AWAY),
    ("22", StepReason.VALUE_REFUSED),
    ("23", StepReason.RAISED_INSIDE),
    ("28", StepReason.LOGIN_REFUSED),
    ("40", StepReason.LOCKED),
    ("42", StepReason.TABLE_CHANGED),
    ("44", StepReason.RAISED_INSIDE),
    ("53", StepReason.NO_ROOM),
    ("58", StepReason.DAMAGED),
    ("XX", StepReason.DAMAGED),
)
# The first letters of a result code of SQLite (https://sqlite.org/rescode.html).
CODES = (
    ("SQLITE_READONLY", StepReason.READ_ONLY),
    ("SQLITE_FULL", StepReason.NO_ROOM),
    ("SQLITE_BUSY", StepReason.LOCKED),
    ("SQLITE_LOCKED", StepReason.LOCKED),
    ("SQLITE_CONSTRAINT", StepReason.RAISED_INSIDE),
    ("SQLITE_CORRUPT", StepReason.DAMAGED),
    ("SQLITE_NOTADB", StepReason.DAMAGED),
    ("SQLITE_IOERR", StepReason.DAMAGED),
    ("SQLITE_ERROR", StepReason.TABLE_CHANGED),  # "no such column"; our own SQL is the same in every installation
)
# The words of these two reasons hold names only, if they have this form; other words may hold what owners typed.
_NAMES_ONLY = re.compile(
    r"(?:column|relation|table|function|schema|type) \"?[\w.]{1,63}\"?(?:\.\"?[\w.]{1,63}\"?)?"
    r"(?: of relation \"?[\w.]{1,63}\"?)? does not exist"
    r"|permission denied for (?:table|schema|sequence|function|database|relation|view) [\w.]{1,63}"
    r"|no such (?:table|column): [\w.]{1,127}"
)


def reason_of(error: BaseException) -> tuple[StepReason, str]:
    """Return why, and what it is about: names of the schema or a type of error, never a value of a row."""
    for cause in _causes(error):
        driver = cause.orig if isinstance(cause, exc.DBAPIError) else cause
        if driver is None:
            continue
        state, code = str(getattr(driver, "sqlstate", None) or ""), str(getattr(driver, "sqlite_errorname", None) or "")
        for word, table in ((state, STATES), (code, CODES)):
            for beginning, reason in table:
                if word.startswith(beginning):
                    return reason, _named(driver) or word
    if isinstance(error, DatabaseUnavailable):
        return StepReason.DATABASE_AWAY, ""
    if isinstance(error, exc.DBAPIError | sqlite3.Error):
        return StepReason.DATABASE_AWAY, type(error).__name__
    return StepReason.BUG, type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


def _named(driver: BaseException) -> str:
    found = _NAMES_ONLY.match(str(driver).partition("\n")[0])
    return found[0].replace('"', "") if found else ""
