"""The server: check what it stands on, then run it; `python -m app.main` does what run_api_server.py does."""

from app.catalog import translate

if __name__ == "__main__":
    from app.core.lean_start import begin, leave

    begin()

import asyncio
from typing import TYPE_CHECKING

import structlog

from app.bootstrap.certificate import begin_look, load_certificate
from app.bootstrap.database import check_database
from app.core.config import Settings
from app.core.console import complain
from app.core.exit_codes import Exit
from app.core.logger import register_secrets, setup_logging
from app.core.setting_loader import load_settings
from app.db.closed_file import closed_file
from app.domain.errors import DatabaseBehind, DatabaseReadOnly, DatabaseUnavailable, StartRefused
from app.domain.language import msgid
from app.server.open_files import forbid_core_dumps

if TYPE_CHECKING:
    from app.db.migrate_apart import Migration
    from app.fal.cdn import WayOut

log = structlog.get_logger(__name__)

NO_DATABASE = msgid(
    "The database does not answer: {cause}. Check DATABASE_URL and that it runs: systemctl status postgresql"
)

READ_ONLY = msgid(
    "The database takes no writes ({cause}). A standby? Name the primary in DATABASE_URL, or both and "
    "target_session_attrs=read-write; guarded? ALTER DATABASE … RESET default_transaction_read_only"
)

NO_FILE = msgid(
    "The database file {path} cannot be used: {cause}. Is it ours, is the disk writable? ls -l {path}; df {path}"
)


def main(cdn: "WayOut | None" = None) -> int:
    """Start the server and return the exit code: 0 stopped in order, 75 try again, 78 mend the configuration.

    `cdn` is as in `create_app`.
    """
    forbid_core_dumps()
    try:
        settings = load_settings()
        register_secrets(settings.secret_values())
        setup_logging(
            settings.log_level,
            settings.log_dir,
            settings.api_log_file,
            settings.webhook_log_file,
            language=settings.operator_language,
        )
        # The certificate, the migration and the imports that serving needs: none waits for another.
        look = begin_look(settings)
        migration = begin_database(settings)
        from app.application import run  # noqa: PLC0415  as above

        if migration is not None:
            finish_database(settings, migration)
        tls = load_certificate(settings, look)
    except StartRefused as refused:
        complain(f"{refused}\n")
        return Exit.CONFIG
    except DatabaseUnavailable as error:
        url = settings.database_url.get_secret_value()
        again = "aisha-webhook serve"
        if (closed := closed_file(url, settings.operator_language, again)) is not None:
            complain(f"{closed}\n")
            return Exit.CONFIG
        words = NO_FILE if url.startswith("sqlite") else NO_DATABASE
        if isinstance(error, DatabaseReadOnly):
            words = READ_ONLY
        path = url.partition("///")[2]  # of PostgreSQL's URL, which holds a password, nothing is shown
        complain(f"{translate(words, settings.operator_language).format(cause=error, path=path)}\n")
        return Exit.TRY_AGAIN
    return run(settings, tls, cdn)


def begin_database(settings: Settings) -> "Migration | None":
    """Refuse what this version cannot work on; begin to bring a database up to date that is behind.

    SQLite is migrated here; PostgreSQL only with MIGRATE_ON_START, because the bot lives there too.
    """
    try:
        asyncio.run(check_database(settings))
    except DatabaseBehind:
        url = settings.database_url.get_secret_value()
        if not (url.startswith("sqlite") or settings.migrate_on_start):
            raise
        from app.db.migrate_apart import Migration  # noqa: PLC0415  no other start starts processes

        return Migration(url, settings.operator_language)
    return None


def finish_database(settings: Settings, migration: "Migration") -> None:
    """Wait for the migration, and refuse what this version cannot work on even so."""
    migration.finish()
    log.info("database.migrated")
    asyncio.run(check_database(settings))


if __name__ == "__main__":
    leave(main())
