"""Migrating in a process of its own, for whoever must not hold Alembic afterwards.

The server lives for weeks and migrates once: Alembic, its templates and what they leave in the heap would be a tenth
of its memory until its next start. A start that has nothing to migrate pays for neither.
"""

import traceback
from functools import partial
from typing import Literal

from app.domain.errors import DatabaseReadOnly, DatabaseUnavailable, DatabaseUnfit
from app.domain.language import Language
from app.files.apart import Apart

Outcome = tuple[Literal["done", "unavailable", "read_only", "unfit", "bug"], str]


class Migration:
    """A migration under way. To be begun while the process has one thread and no connection."""

    def __init__(self, database_url: str, language: Language = "en") -> None:
        self._work = Apart(partial(_migrate, database_url, language), "migration")

    def finish(self) -> None:
        """Return when our tables are up to date. Raises DatabaseUnavailable, DatabaseUnfit.

        RuntimeError is a bug, with the traceback of the other process.
        """
        outcome: Outcome
        try:
            outcome = self._work.result()
        except EOFError:
            outcome = ("bug", "the migration was killed")
        match outcome:
            case "unavailable", cause:
                raise DatabaseUnavailable(cause)
            case "read_only", cause:
                raise DatabaseReadOnly(cause)
            case "unfit", lines:
                raise DatabaseUnfit(lines.splitlines())
            case "bug", trace:
                raise RuntimeError(trace)


def _migrate(database_url: str, language: Language) -> Outcome:
    """Migrate and say how it ended: the exception itself may hold what cannot be sent."""
    from app.db.migrate import migrate  # noqa: PLC0415  Alembic belongs into this process alone

    try:
        migrate(database_url, language)
    except DatabaseUnfit as error:
        return "unfit", str(error)
    except DatabaseReadOnly as error:
        return "read_only", str(error)
    except DatabaseUnavailable as error:
        return "unavailable", str(error)
    except Exception:  # noqa: BLE001  it is raised where it is waited for
        return "bug", traceback.format_exc()
    return "done", ""
