"""How commands speak: JSON for machines, a table for people."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import orjson
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from app.catalog import translate
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.core.text import one_line, quiet_json
from app.domain.language import Msgid
from app.files.command import WRAPPER

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

PIPE_WIDTH = 10_000


def say(words: Msgid, **facts: object) -> str:
    """Say a text in the operator's language, its places filled in. Raises SettingsInvalid."""
    return translate(words, load_settings().operator_language).format(**facts)


def again_as_root() -> str:
    """Return the command line that repeats this very command as root."""
    return shlex.join(["sudo", sys.executable, "-m", "app.cli", *sys.argv[1:]])


def called() -> str:
    """Return how this program is called: by its name where the shell finds it, else as it was called now."""
    if shutil.which(WRAPPER.name) is not None:
        return WRAPPER.name
    own = Path(sys.argv[0])
    if own == Path(__file__).with_name("__main__.py"):
        return shlex.join([sys.executable, "-m", "app.cli"])
    return shlex.quote(str(own)) if own.name == WRAPPER.name else WRAPPER.name


def called_again() -> str:
    """Return the words of this very command, called as above."""
    return f"{called()} {shlex.join(sys.argv[1:])}"


def fail(text: str, code: Exit, *, as_json: bool) -> NoReturn:
    """End the command with a sentence on stderr, and with `as_json` as JSON on stdout, too. Raises typer.Exit."""
    typer.echo(text, err=True)
    if as_json:
        print_json({"error": text, "exit_code": int(code)})
    raise typer.Exit(code)


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
    console = Console(highlight=False, markup=False, emoji=False, width=width)
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    widths = [max(map(cell_len, (column, *(row[at] for row in cells)))) for at, column in enumerate(columns)]
    if sum(widths) + 2 * (len(widths) - 1) <= console.width:
        console.print(table)
    else:
        sys.stdout.writelines(f"{line}\n" for line in _stacked(columns, cells, console.width))


def _stacked(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> Iterator[str]:
    """Lay a row over several lines where the terminal is too narrow for a table: no value is ever cut in two.

    What is empty is left out.
    """
    for row in cells:
        line, is_first = "", True
        for column, cell in zip(columns, row, strict=True):
            if cell == "-":
                continue
            part = cell if column in ("id", "request_id", "state") else f"{column} {cell}"
            if line and cell_len(line) + 2 + cell_len(part) > width:
                yield line
                line, is_first = "", False
            line = f"{line}  {part}" if line.strip() else f"{'' if is_first else '    '}{part}"
        yield line


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
