"""Show the settings in force, and write the pages that are made from them."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic import SecretStr

from app.cli.output import print_json, print_table
from app.cli.setting_page import env_example, settings_table
from app.core.setting_loader import load_settings
from app.core.setting_meta import env_name

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The settings.")

BEGIN, END = "<!-- settings:begin -->", "<!-- settings:end -->"


@app.command()
def show(*, json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show every setting as it is in force; of a secret only whether it is set."""
    settings = load_settings()
    rows = [{"name": env_name(field), "value": _shown(value)} for field, value in settings]
    if json:
        print_json({row["name"]: row["value"] for row in rows})
    else:
        print_table(rows, ("name", "value"), "no settings")


@app.command("env-example")
def env_example_() -> None:
    """Write env.example to the standard output."""
    sys.stdout.write(env_example())


@app.command()
def readme(paths: Annotated[list[Path], typer.Argument(help="Pages; `.ru.md` gets Russian.")]) -> None:
    """Write the settings table anew between its marks."""
    for path in paths:
        path.write_text(with_table(path.read_text(), russian=path.name.endswith(".ru.md")))


def with_table(text: str, *, russian: bool) -> str:
    """Replace what stands between the marks by the table of settings."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{settings_table('ru' if russian else 'en').strip()}\n{END}{tail}"


def _shown(value: object) -> object:
    if isinstance(value, SecretStr):
        return "(set)"
    if isinstance(value, tuple):
        return ",".join(str(item) for item in value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)
