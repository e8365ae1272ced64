"""`aisha-webhook`: one command, a module per noun; a module is imported when its command is called."""

import errno
import json
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

if os.geteuid() == 0 and Path(__file__).stat().st_uid != 0:
    # Root's __pycache__ among another's code would be in the way of the next upgrade.
    sys.dont_write_bytecode = True

from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from app import __version__
from app.core import console
from app.core.exit_codes import Exit
from app.core.last_words import INTERRUPTED, LAST_WORDS
from app.core.setting_loader import load_settings
from app.domain.errors import DatabaseReadOnly, DatabaseUnavailable, StartRefused

MODULES = {
    "serve": "serve",
    "migrate": "migrate",
    "demo": "demo.command",
    "try": "trial",
    "setup": "setup",
    "deliveries": "deliveries",
    "notifications": "notifications",
    "messages": "messages",
    "jobs": "jobs",
    "trainings": "trainings",
    "reconcile": "reconcile",
    "why": "why",
    "backup": "backup",
    "copy-database": "copy_database",
    "cert": "cert",
    "config": "config",
    "healthcheck": "healthcheck",
    "install": "install",
    "doctor": "doctor",
    "dashboard-link": "dashboard_link",
}


# Of an OSError that names no file: what stdout says that is closed, full or gone.
UNWRITTEN = frozenset({errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


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
    add_completion=True,
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
    """Run the command; what went wrong becomes one sentence and an exit code, never a traceback."""
    console.settle()
    if os.geteuid() == 0:
        _take_bytecode_away()
    code = _run()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a further Ctrl-C has nothing left to interrupt
    unwritten = console.flush()
    if unwritten is not None and unwritten.errno != errno.EPIPE:  # `| head` may leave when it has read enough
        console.complain(f"the answer could not be written: {unwritten.strerror}\n")
        code = code or Exit.CHECK_FAILED
    sys.exit(code)


def _run() -> int:
    try:
        app()
    except SystemExit as left:
        if isinstance(left.code, str):
            console.complain(f"{left.code}\n")
            return Exit.CHECK_FAILED
        return left.code or Exit.OK
    except KeyboardInterrupt:
        return INTERRUPTED
    except StartRefused as refused:
        return _fail(str(refused), Exit.CONFIG)
    except DatabaseReadOnly as error:
        return _fail(
            f"the database takes no writes ({error}): a standby? Name the primary in DATABASE_URL", Exit.REMOTE_DOWN
        )
    except DatabaseUnavailable as error:
        return _no_database(error)
    except Exception as error:  # noqa: BLE001  the last resort
        return _last_words(error)
    return Exit.OK


def _fail(text: str, code: Exit) -> int:
    """Write a sentence to stderr, and as JSON to stdout where `--json` was given."""
    console.complain(f"{text}\n")
    if "--json" in sys.argv:
        console.say(f"{json.dumps({'error': text, 'exit_code': int(code)}, ensure_ascii=False)}\n")
    return code


def _no_database(error: DatabaseUnavailable) -> int:
    """Tell a file that is closed to this account from a server that is away."""
    from app.db.closed_file import closed_file  # noqa: PLC0415  only where a database failed: a health check has none

    settings = load_settings()
    again = shlex.join([*(["aisha-webhook"] if shutil.which("aisha-webhook") else sys.argv[:1]), *sys.argv[1:]])
    closed = closed_file(settings.database_url.get_secret_value(), settings.operator_language, again)
    if closed is not None:
        return _fail(closed, Exit.CONFIG)
    return _fail(f"the database does not answer: {error}", Exit.REMOTE_DOWN)


def _last_words(error: Exception) -> int:
    if isinstance(error, OSError) and error.filename is None and error.errno in UNWRITTEN:
        console.complain(f"the answer could not be written: {error.strerror}\n")
        return Exit.CHECK_FAILED
    with suppress(Exception):  # with broken settings the defaults serve here
        settings = load_settings()
        LAST_WORDS.language = settings.operator_language
        LAST_WORDS.log_file = (settings.log_dir / settings.api_log_file).absolute()
    return LAST_WORDS.tell(error)


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
