"""Migrating in a process of its own, for whoever must not hold Alembic afterwards.

The server lives for weeks and migrates once: Alembic, its templates and what they leave in the heap would be a tenth
of its memory until its next start. The process is a fork: what a second interpreter would import first is there
already. A start that has nothing to migrate pays for neither.
"""

import traceback
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Literal

from app.domain.errors import DatabaseReadOnly, DatabaseUnavailable, DatabaseUnfit
from app.domain.language import Language

Outcome = tuple[Literal["done", "unavailable", "read_only", "unfit", "bug"], str]


def migrate_apart(database_url: str, language: Language = "en") -> None:
    """Bring our tables up to date and return when they are. Raises DatabaseUnavailable, DatabaseUnfit.

    To be called while the process has one thread and no connection: a fork copies neither. RuntimeError is a bug, with
    the traceback of the other process.
    """
    forking = get_context("fork")
    receiver, sender = forking.Pipe(duplex=False)
    process = forking.Process(target=_migrate, args=(database_url, language, sender), name="migration")
    process.start()
    sender.close()
    with receiver:
        outcome: Outcome
        try:
            outcome = receiver.recv()
        except EOFError:
            outcome = ("bug", "the migration was killed")
    process.join()
    match outcome:
        case "unavailable", cause:
            raise DatabaseUnavailable(cause)
        case "read_only", cause:
            raise DatabaseReadOnly(cause)
        case "unfit", lines:
            raise DatabaseUnfit(lines.splitlines())
        case "bug", trace:
            raise RuntimeError(trace)


def _migrate(database_url: str, language: Language, sender: "Connection[Outcome, Outcome]") -> None:
    """Migrate and send how it ended: the exception itself may hold what cannot be sent."""
    from app.db.migrate import migrate  # noqa: PLC0415  Alembic belongs into this process alone

    outcome: Outcome = ("done", "")
    try:
        migrate(database_url, language)
    except DatabaseUnfit as error:
        outcome = ("unfit", str(error))
    except DatabaseReadOnly as error:
        outcome = ("read_only", str(error))
    except DatabaseUnavailable as error:
        outcome = ("unavailable", str(error))
    except Exception:  # noqa: BLE001  it is raised where it is waited for
        outcome = ("bug", traceback.format_exc())
    sender.send(outcome)
