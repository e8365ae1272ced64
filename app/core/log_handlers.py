"""The outputs of the log: structlog's last step, console, files. An event is rendered once per format.

stdlib's own path (find the caller, copy the record for every formatter, format twice for a rotating file) costs several
times as much per line, and a line is written for every delivery.
"""

import logging
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from typing import Any, cast

import structlog

from app.core.log_redaction import redact_event
from app.core.log_render import ConsoleLine, Event, json_line
from app.core.log_repeats import Repeats
from app.core.text import one_line

FILE_MODE = 0o640  # chat ids are personal data

repeats = Repeats()
PREPARE: tuple[Callable[..., Any], ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    structlog.processors.StackInfoRenderer(),
    repeats,
    structlog.processors.format_exc_info,
    redact_event,
)


class Outlet:
    """The logger that structlog wraps: makes a stdlib record and gives it to the stdlib logger of that name."""

    def __init__(self, name: str = "app") -> None:
        self.name = name
        self._logger = logging.getLogger(name)

    def _emit(self, level: int, event: Event) -> None:
        if self._logger.isEnabledFor(level):
            record = logging.LogRecord(self.name, level, "", 0, one_line(str(event["event"])), (), None)
            vars(record)["prepared"] = event
            self._logger.handle(record)

    def debug(self, event: Event) -> None:
        self._emit(logging.DEBUG, event)

    def info(self, event: Event) -> None:
        self._emit(logging.INFO, event)

    def warning(self, event: Event) -> None:
        self._emit(logging.WARNING, event)

    def error(self, event: Event) -> None:
        self._emit(logging.ERROR, event)

    def critical(self, event: Event) -> None:
        self._emit(logging.CRITICAL, event)


def to_record(_logger: object, _method: str, event: Event) -> tuple[tuple[Event], dict[str, Any]]:
    """Hand the prepared event to the Outlet (the last structlog processor)."""
    return (event,), {}


def _prepared(record: logging.LogRecord) -> Event:
    kept = vars(record)
    if "prepared" not in kept:
        event: Event = {"event": record.getMessage()}
        if record.exc_info:
            event["exc_info"] = record.exc_info
        if record.stack_info:
            event["stack"] = record.stack_info
        for prepare in PREPARE:
            event = prepare(record, record.levelname.lower(), event)
        kept["prepared"] = event
    return cast("Event", kept["prepared"])


class _Discreet(logging.Handler):
    """Says on stderr that an event could not be written, once per handler and without its contents."""

    _complained = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the name is logging's
        if self._complained:
            return
        self._complained = True
        error = sys.exc_info()[1]
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        try:
            sys.stderr.write(
                f"logging failed: {why}; event of {one_line(record.name)} lost, further losses are silent\n"
            )
        except (OSError, ValueError):  # stderr is gone too
            return


class Console(_Discreet):
    """stderr as it is at the moment of writing: tests and daemons replace it."""

    def __init__(self, render: ConsoleLine) -> None:
        super().__init__()
        self._render = render

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        try:
            sys.stderr.write(self._render(_prepared(record)) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 as in logging itself: a line that cannot be written must not stop the program
            self.handleError(record)


class LogFile(_Discreet, RotatingFileHandler):
    """A rotating file of JSON lines that only its owner and group read."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, in the next file where this one would grow past its limit."""
        try:
            line = vars(record).get("json")
            if line is None:
                line = vars(record)["json"] = json_line(_prepared(record)) + "\n"
            stream = self.stream or self._open()
            if self.maxBytes and stream.tell() + len(line) > self.maxBytes:
                self.doRollover()
                stream = self.stream or self._open()
            self.stream = stream
            stream.write(line)
            stream.flush()
        except Exception:  # noqa: BLE001 as above
            self.handleError(record)

    def _open(self) -> TextIOWrapper:
        return cast(
            "TextIOWrapper",
            open(self.baseFilename, self.mode, encoding="utf-8", errors="backslashreplace", opener=_private),
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
