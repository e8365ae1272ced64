"""The outputs of the log: structlog's last step, console, files. An event is rendered once per format.

stdlib's own path (find the caller, copy the record for every formatter, format twice for a rotating file) costs several
times as much per line, and a line is written for every delivery. Lines below WARNING that one turn of the event loop
brings forth are written together at its end: 200 deliveries are one batch, and each output cost a system call per line.
A kill -9 can lose the lines of that turn; what they tell of is in the database.
"""

import asyncio
import logging
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, cast

import structlog

from app.core.log_redaction import redact_event
from app.core.log_render import ConsoleLine, Event, json_line
from app.core.log_repeats import Repeats
from app.core.text import one_line

FILE_MODE = 0o640  # chat ids are personal data
LINES = 256  # kept at most until the turn ends

_LOCK = threading.RLock()  # of all outputs: one may have to write what another has kept

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


class _Pen(logging.Handler, ABC):
    """Keeps rendered lines until the event loop's turn ends; without a loop, or for a WARNING, writes them at once.

    It says on stderr that an event could not be written, once per handler and without its contents.
    """

    _complained = False

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[str] = []

    def createLock(self) -> None:  # noqa: N802 the name is logging's
        self.lock = _LOCK

    def emit(self, record: logging.LogRecord) -> None:
        """Render one line, and write it now or with the others of this turn."""
        try:
            self._lines.append(self._rendered(record))
        except Exception:  # noqa: BLE001 as in logging itself: a line that cannot be written must not stop the program
            self.handleError(record)
            return
        _turn.add(self, is_urgent=record.levelno >= logging.WARNING or len(self._lines) > LINES)

    def flush(self) -> None:
        """Write what was kept."""
        with _LOCK:
            lines, self._lines = self._lines, []
            if lines:
                try:
                    self._write("".join(lines))
                except Exception:  # noqa: BLE001 as above
                    self._complain("app")

    def close(self) -> None:
        """Write what was kept, then close."""
        self.flush()
        super().close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 the name is logging's
        self._complain(record.name)

    @abstractmethod
    def _rendered(self, record: logging.LogRecord) -> str:
        """Render one line, with its end."""

    @abstractmethod
    def _write(self, lines: str) -> None:
        """Write lines and flush."""

    def _complain(self, name: str) -> None:
        if self._complained:
            return
        self._complained = True
        error = sys.exc_info()[1]
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        try:
            sys.stderr.write(f"logging failed: {why}; event of {one_line(name)} lost, further losses are silent\n")
        except (OSError, ValueError):  # stderr is gone too
            return


class _LoopTurn:
    """The outputs that keep lines, and the loop that was asked to write them at the end of its turn."""

    def __init__(self) -> None:
        self._waiting: dict[_Pen, None] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, pen: _Pen, *, is_urgent: bool) -> None:
        self._waiting[pen] = None
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            is_urgent = True
        if is_urgent:
            self.end()
        elif loop is not self._loop:  # a loop that was closed in the meantime never wrote
            self._loop = loop
            loop.call_soon(self.end)

    def end(self) -> None:
        with _LOCK:
            self._loop = None
            waiting, self._waiting = self._waiting, {}
            for pen in waiting:
                pen.flush()


_turn = _LoopTurn()


class Console(_Pen):
    """stderr as it is at the moment of writing: tests and daemons replace it."""

    def __init__(self, render: ConsoleLine) -> None:
        super().__init__()
        self._render = render

    def _rendered(self, record: logging.LogRecord) -> str:
        return self._render(_prepared(record)) + "\n"

    def _write(self, lines: str) -> None:
        sys.stderr.write(lines)
        sys.stderr.flush()


class LogFile(_Pen):
    """A rotating file of JSON lines that only its owner and group read."""

    def __init__(self, path: Path, *, max_bytes: int, backups: int) -> None:
        # logging closes handlers in reverse order at exit: this one, which keeps lines, must be closed before its file.
        self._file = _Rotating(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
        super().__init__()

    def close(self) -> None:
        """Write what was kept, then close the file."""
        super().close()
        self._file.close()

    def _rendered(self, record: logging.LogRecord) -> str:
        line = vars(record).get("json")
        if line is None:
            line = vars(record)["json"] = json_line(_prepared(record)) + "\n"
        return cast("str", line)

    def _write(self, lines: str) -> None:
        self._file.write(lines)


class _Rotating(RotatingFileHandler):
    def write(self, lines: str) -> None:
        """Write these lines, into the next file where they would let this one grow past its limit."""
        stream = self.stream or self._open()
        if self.maxBytes and stream.tell() + len(lines) > self.maxBytes:
            self.doRollover()
            stream = self.stream or self._open()
        self.stream = stream
        stream.write(lines)
        stream.flush()

    def _open(self) -> TextIOWrapper:
        return cast(
            "TextIOWrapper",
            open(self.baseFilename, self.mode, encoding="utf-8", errors="backslashreplace", opener=_private),
        )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, FILE_MODE)
