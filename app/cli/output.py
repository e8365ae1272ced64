"""How commands speak: JSON for machines, a table for people."""

import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from app.core.text import one_line, quiet_json

WRAPPER = Path("/usr/local/bin/aisha-webhook")  # the command that `install systemd` writes
PIPE_WIDTH = 10_000


def again_as_root() -> str:
    """Return the command line that repeats this very command as root."""
    return shlex.join(["sudo", sys.executable, "-m", "app.cli", *sys.argv[1:]])


def called() -> str:
    """Return how this program is called: by its name where the shell finds it, else as it was called now."""
    if shutil.which(WRAPPER.name) is not None:
        return WRAPPER.name
    own = Path(sys.argv[0])
    return shlex.quote(str(own)) if own.name == WRAPPER.name else shlex.join([sys.executable, "-m", "app.cli"])


def called_again() -> str:
    """Return the words of this very command, called as above."""
    return f"{called()} {shlex.join(sys.argv[1:])}"


def print_json(value: Any) -> None:
    """Write one JSON document; bytes are shown as text where they are text, else as hex."""
    text = orjson.dumps(value, default=_plain, option=orjson.OPT_INDENT_2).decode()
    sys.stdout.write(f"{quiet_json(text)}\n")


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str) -> None:
    """Write a table of these columns, or the sentence `empty`. What a stranger wrote cannot steer the terminal."""
    if not rows:
        sys.stdout.write(f"{empty}\n")
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    # Into a pipe a row is a line, however long.
    width = None if sys.stdout.isatty() else PIPE_WIDTH
    Console(highlight=False, markup=False, emoji=False, width=width).print(table)


def print_fields(row: Mapping[str, Any]) -> None:
    """Write one row, a line per field."""
    width = max(len(name) for name in row)
    for name, value in row.items():
        sys.stdout.write(f"{name:<{width}}  {_cell(value)}\n")


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return one_line(str(_plain(value)))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return bytes(value).hex()
    return str(value)
