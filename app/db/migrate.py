"""Our own migrations: how far the database is, and bringing it up to date."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from app.db.engine import tune_sqlite
from app.db.fitness import require_migratable, require_place
from app.db.schema import version_of
from app.db.session import open_engine
from app.db.tables import HEAD
from app.db.trouble import translated
from app.db.url import parse_url, sqlite_file
from app.domain.errors import DatabaseUnavailable
from app.domain.language import Language

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = "30s"  # of a migration for whoever holds a lock: behind one that waits every other query waits, too
UNHURRIED = {"statement_timeout": 0, "idle_in_transaction_session_timeout": 0}
LOCK_NOT_AVAILABLE = "55P03"
DEADLOCK = "40P01"
TRIES = 5  # beside a server at work, whose transactions take the tables in another order
_LOCK = 0x41697368  # "Aish": one migration at a time on PostgreSQL


@contextmanager
def open_for_migration(database_url: str) -> Iterator[Connection]:
    """Open a plain connection, alone: on PostgreSQL under an advisory lock, on SQLite under the write lock.

    Raises DatabaseUnavailable when somebody else keeps PostgreSQL's lock; what else the driver says passes through.
    """
    url = parse_url(database_url)
    is_sqlite = url.get_backend_name() == "sqlite"
    if (path := sqlite_file(database_url)) is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    if is_sqlite:
        engine = create_engine(url, poolclass=NullPool)
        tune_sqlite(engine)
    else:
        engine = open_engine(database_url, UNHURRIED)
    try:
        with engine.connect() as connection, connection.begin():
            if not is_sqlite:
                _lock(connection)
            yield connection
    finally:
        engine.dispose()


def _lock(connection: Connection) -> None:
    """Wait for this lock, and for every later one of the transaction, so long and no longer."""
    connection.execute(text("SELECT set_config('lock_timeout', :patience, true)"), {"patience": PATIENCE})
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise DatabaseUnavailable("another migration runs; let it end, then try again") from error


def migrate(database_url: str, language: Language = "en") -> None:
    """Bring our tables up to date; does nothing when they are, or are newer.

    Raises DatabaseUnavailable, and DatabaseUnfit with what mends a database that this role cannot migrate.
    """
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.attributes["database_url"] = database_url
    with translated():
        with open_for_migration(database_url) as connection:
            require_place(connection, language)
            version = version_of(connection)
            if version is not None and version >= HEAD:
                return
            require_migratable(connection, language)
        _upgrade(config)


def _upgrade(config: Config) -> None:
    for _ in range(TRIES - 1):
        try:
            command.upgrade(config, "head")
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != DEADLOCK:
                raise
        else:
            return
    command.upgrade(config, "head")


def head() -> str | None:
    """Return the newest migration in the files."""
    return ScriptDirectory(str(ROOT / "migrations")).get_current_head()
