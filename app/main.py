"""The server: assemble it, check what it stands on, start it; `python -m app.main` does what run_api_server.py does."""

import gc

from app.catalog import translate

if __name__ == "__main__":
    from app.core.lean_start import begin, leave

    begin()

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI

from app.application import create_app, enclose
from app.bootstrap.certificate import begin_look, load_certificate
from app.bootstrap.database import check_database
from app.core.config import Settings
from app.core.console import complain, say
from app.core.exit_codes import Exit
from app.core.logger import register_secrets, setup_logging
from app.core.setting_loader import load_settings
from app.core.setting_sources import environment
from app.db.closed_file import closed_file
from app.domain.errors import DatabaseBehind, DatabaseReadOnly, DatabaseUnavailable, StartRefused
from app.domain.language import msgid
from app.fal.cdn import WayOut
from app.routers.fal_webhook import PATH
from app.server.banner import Banner, still_to_do
from app.server.listener import LOOPBACK, Listener, narrow
from app.server.open_files import forbid_core_dumps
from app.server.run import serve
from app.server.systemd import inherited_socket

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.live import LiveContext

log = structlog.get_logger(__name__)

GC_YOUNG = 20_000  # objects between two looks of the collector: a delivery leaves no cycles behind

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


def main(cdn: WayOut | None = None) -> int:
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
        look = begin_look(settings)  # beside the database: neither waits for the other
        prepare_database(settings)
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
    for warning in settings.warnings():
        log.warning("settings.warning", text=warning)
    listener = Listener(
        settings.api_host,
        settings.api_port,
        tls,
        client_timeout=settings.client_timeout,
        max_body_bytes=settings.max_body_bytes,
        max_connections=settings.max_connections,
        spared=(*LOOPBACK, *settings.forwarded_allow_ips),
        language=settings.operator_language,
    )
    gc.enable()
    gc.freeze()  # what lives as long as the process need not be looked at again, least of all on the way out
    gc.set_threshold(GC_YOUNG, 20, 20)
    inherited = inherited_socket(environment())
    if inherited is not None:
        narrow(inherited, listener)
    app = create_app(settings, tls, cdn)
    return serve(enclose(app, settings), listener, partial(_show_banner, app, settings, tls), inherited)


def _show_banner(app: FastAPI, settings: Settings, tls: "LiveContext | None", local_url: str) -> None:
    served = None if tls is None else tls.served
    has_keys = bool(app.state.health.facts.keys.current())
    scheme = "http" if tls is None else "https"
    banner = Banner(
        local_url,
        settings.fal_webhook_url or f"{scheme}://{settings.api_domain}:{settings.api_port}{PATH}",
        None if served is None else served.fingerprint,
        still_to_do(settings, has_keys=has_keys, is_self_signed=served is not None and served.is_self_signed),
    )
    say(banner.text(settings.operator_language))


def prepare_database(settings: Settings) -> None:
    """Bring the database to this version or refuse.

    SQLite is migrated here; PostgreSQL only with MIGRATE_ON_START, because the bot lives there too.
    """
    try:
        asyncio.run(check_database(settings))
    except DatabaseBehind:
        url = settings.database_url.get_secret_value()
        if not (url.startswith("sqlite") or settings.migrate_on_start):
            raise
        from app.db.migrate_apart import migrate_apart  # noqa: PLC0415  no other start starts processes

        migrate_apart(url, settings.operator_language)
        log.info("database.migrated")
        asyncio.run(check_database(settings))


if __name__ == "__main__":
    leave(main())
