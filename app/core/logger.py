"""Logging: structlog on stdlib handlers; the console for people, rotating JSON lines for machines.

`app.*` and uvicorn go to the console and the server's log; the webhook logger's events to webhook.log besides.
"""

import errno
import logging
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import structlog

from app.catalog import translate
from app.core.last_words import LAST_WORDS
from app.core.log_handlers import PREPARE, Console, LogFile, Outlet, repeats, to_record
from app.core.log_redaction import forget_secrets, register_secrets
from app.core.log_render import ConsoleLine
from app.core.text import one_line
from app.domain.errors import StartRefused
from app.domain.language import Language, msgid

__all__ = ["register_secrets", "reset_logging", "setup_logging"]

UNWRITABLE = msgid("cannot write the log {path}: {reason}. Mend it: {mend}")
ROOT = "app"
WEBHOOK = "app.webhook"
OURS = (ROOT, "uvicorn", "uvicorn.error", "uvicorn.access")
TALKATIVE = ("aiohttp",)  # a URL in their lines holds the bot's token
MAX_BYTES = 10 * 1024 * 1024
BACKUPS = 5

_CHAIN: list[Any] = [*PREPARE, to_record]  # always this one list object: structlog.testing replaces its contents
_attached: list[tuple[logging.Logger, logging.Handler]] = []


def setup_logging(
    level: str,
    log_dir: Path,
    api_log_file: str,
    webhook_log_file: str,
    *,
    max_bytes: int = MAX_BYTES,
    backups: int = BACKUPS,
    language: Language = "ru",
) -> None:
    """Send events of *level* and above to stderr and to the two files in *log_dir*, which is made if it is missing.

    Of a crash stderr gets a sentence, the log the traceback without secrets. Calling it again replaces what the last
    call set up.
    Raises StartRefused naming the path and the command that mends it, in Russian unless *language* is `en`; nothing is
    left half set up then.
    """
    _detach()
    number = logging.getLevelNamesMapping()[level]
    api_file = _open_log(log_dir, api_log_file, max_bytes, backups, language)
    try:
        webhook_file = _open_log(log_dir, webhook_log_file, max_bytes, backups, language)
    except StartRefused:
        api_file.close()
        raise
    console = Console(ConsoleLine(colour=sys.stderr.isatty()))
    root = logging.getLogger()
    for logger, handler in ((root, console), (root, api_file), (logging.getLogger(WEBHOOK), webhook_file)):
        _attach(logger, handler)
    root.setLevel(max(number, logging.WARNING))
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(number)
        if name != ROOT:  # uvicorn brings handlers of its own, which would print everything twice and unredacted
            logger.handlers.clear()
            logger.propagate = True
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    logging.captureWarnings(capture=True)
    LAST_WORDS.language, LAST_WORDS.log_file = language, (log_dir / api_log_file).absolute()
    sys.excepthook = LAST_WORDS.hook
    _configure(number, cached=True)


def reset_logging() -> None:
    """Undo setup_logging and forget registered secrets: files closed, levels back, as after the import. For tests."""
    _detach()
    forget_secrets()
    repeats.forget()
    logging.captureWarnings(capture=False)
    sys.excepthook = sys.__excepthook__
    LAST_WORDS.language, LAST_WORDS.log_file = "ru", None
    logging.getLogger().setLevel(logging.WARNING)
    for name in (*OURS, *TALKATIVE):
        logging.getLogger(name).setLevel(logging.NOTSET)
    _start_quiet()


def _configure(level: int, *, cached: bool) -> None:
    structlog.configure(
        processors=_CHAIN,
        logger_factory=Outlet,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=cached,
    )


def _open_log(log_dir: Path, name: str, max_bytes: int, backups: int, language: Language) -> LogFile:
    path = log_dir / name
    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        return LogFile(path, max_bytes=max_bytes, backups=backups)
    except OSError as error:
        raise StartRefused([_unwritable(path, error, language)]) from error


def _unwritable(path: Path, error: OSError, language: Language) -> str:
    owner = _account()
    shown = one_line(str(path))
    folder = one_line(str(path.parent.absolute()))
    mend = "LOG_DIR=…"
    if isinstance(error, PermissionError):
        mend = f"sudo install -d -o {owner} {folder} && sudo chown -R {owner} {folder}"
    elif error.errno == errno.EROFS:
        mend += f" (systemd: ReadWritePaths={folder})"
    return translate(UNWRITABLE, language).format(path=shown, reason=error.strerror, mend=mend)


def _account() -> str:
    uid = os.geteuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container started with a bare number
        return str(uid)


def _attach(logger: logging.Logger, handler: logging.Handler) -> None:
    logger.addHandler(handler)
    _attached.append((logger, handler))


def _detach() -> None:
    while _attached:
        logger, handler = _attached.pop()
        logger.removeHandler(handler)
        handler.close()


def _start_quiet() -> None:
    # a command that never calls setup_logging still shows warnings, on stderr, and keeps stdout for its answer
    _attach(logging.getLogger(ROOT), Console(ConsoleLine(colour=False)))
    # The stdlib logger's level is read at each call, so that a logger used before setup_logging follows it afterwards.
    _configure(logging.NOTSET, cached=False)


_start_quiet()
