"""The console as this process finds it: closed, full, in any encoding, a terminal that goes away. It ends nothing here.

Only the standard library: this is used before anything else is imported.
"""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import TextIO

STDIN, STDOUT, STDERR = 0, 1, 2


def settle() -> None:
    """Make the three streams safe to use; to be called first of all, before any file is opened.

    A closed descriptor would be given to the next file, a database or a client, and what is printed would end there.
    Its place is taken by /dev/null, opened so that writing fails as it would have. What the console's encoding lacks
    is written as an escape.
    """
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest free number, which is this one
    sys.stdin = sys.stdin or open(STDIN, closefd=False, encoding="utf-8")  # noqa: SIM115  for the whole process
    sys.stdout = sys.stdout or _writing(STDOUT)
    sys.stderr = sys.stderr or _writing(STDERR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _writing(number: int) -> TextIO:
    return open(number, "w", closefd=False, encoding="utf-8", errors="backslashreplace", buffering=1)


def say(text: str) -> bool:
    """Write to stdout; tell whether it could be written. Raises nothing."""
    return _write(sys.stdout, text) is None


def complain(text: str) -> bool:
    """Write to stderr; tell whether it could be written. Raises nothing."""
    return _write(sys.stderr, text) is None


def flush() -> OSError | None:
    """Write out what the streams still hold; return why stdout's could not be."""
    _write(sys.stderr, "")
    return _write(sys.stdout, "")


def _write(stream: TextIO, text: str) -> OSError | None:
    try:
        stream.write(text)
        stream.flush()
    except ValueError:  # the stream was closed already
        return None if not text else OSError("closed")
    except OSError as error:
        _let_go(stream)
        return error
    return None


def _let_go(stream: TextIO) -> None:
    """Send to nowhere what the stream still holds: the interpreter flushes it on its way out, and would complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        stream.flush()


class Terminal:
    """The terminal that this process was started from, if any."""

    def __init__(self) -> None:
        self._number = next((number for number in (STDIN, STDOUT, STDERR) if os.isatty(number)), None)

    def is_gone(self) -> bool:
        """Tell whether there was one and it has been closed: the window, the connection."""
        return self._number is not None and not os.isatty(self._number)
