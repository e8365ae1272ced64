"""`aisha-webhook`: one command, a module per noun; a module is imported when its command is called."""

import os
import sys
from pathlib import Path

if os.geteuid() == 0 and Path(__file__).stat().st_uid != 0:
    # Root's __pycache__ among another's code would be in the way of the next upgrade.
    sys.dont_write_bytecode = True

import traceback
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app import __version__
from app.core.exit_codes import Exit
from app.core.log_redaction import redact
from app.domain.errors import DatabaseReadOnly, DatabaseUnavailable, StartRefused

MODULES = {
    "serve": "serve",
    "migrate": "migrate",
    "demo": "demo.command",
    "try": "trial",
    "deliveries": "deliveries",
    "notifications": "notifications",
    "jobs": "jobs",
    "reconcile": "reconcile",
    "why": "why",
    "backup": "backup",
    "copy-database": "copy_database",
    "cert": "cert",
    "config": "config",
    "healthcheck": "healthcheck",
    "install": "install",
    "doctor": "doctor",
}


class LazyGroup(TyperGroup):
    """Knows the names of the commands and imports what is called: a health check must not pay for a server."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Name every command."""
        del ctx
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import the module of one command; None for a name there is not."""
        del ctx
        if cmd_name not in MODULES:
            return None
        module = import_module(f"app.cli.{MODULES[cmd_name]}")
        command: Any = typer.main.get_command(module.app)
        if isinstance(command, TyperGroup):
            # A module of several commands is a noun of its own or the home of plain verbs.
            command = command.commands.get(cmd_name, command)
        command.name = cmd_name
        return command


app = typer.Typer(
    name="aisha-webhook",
    cls=LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Aisha's fal.ai webhook server.",
)


@app.callback(invoke_without_command=True)
def version(*, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Receive fal.ai's training webhooks: prove, store, apply once, tell once."""
    if version:
        sys.stdout.write(f"aisha-webhook {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run the command; what went wrong outside of us becomes one line and an exit code."""
    if os.geteuid() == 0:
        _take_bytecode_away()
    try:
        app()
    except StartRefused as refused:
        sys.stderr.write(f"{refused}\n")
        sys.exit(Exit.CONFIG)
    except DatabaseReadOnly as error:
        sys.stderr.write(f"the database takes no writes ({error}): a standby? Name the primary in DATABASE_URL\n")
        sys.exit(Exit.REMOTE_DOWN)
    except DatabaseUnavailable as error:
        sys.stderr.write(f"the database does not answer: {error}\n")
        sys.exit(Exit.REMOTE_DOWN)
    except Exception:  # noqa: BLE001  the last resort: a library's words may hold a URL with a password
        sys.stderr.write(redact(traceback.format_exc()))
        sys.exit(Exit.CHECK_FAILED)


def _take_bytecode_away() -> None:
    """Remove what Python wrote as root, beside code of another account, before this module could forbid it."""
    for name in ("app", "app.cli", "app.cli.__main__", __name__):
        spec = find_spec(name)
        if spec is None or spec.origin is None or spec.cached is None:
            continue
        code, written = Path(spec.origin), Path(spec.cached)
        with suppress(OSError):  # there is none, or the folder holds more
            if code.stat().st_uid != 0 == written.stat().st_uid:
                written.unlink()
                written.parent.rmdir()
