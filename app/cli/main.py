"""`aisha-webhook`: one command, a module per noun."""

import sys
from typing import Annotated

import typer

from app import __version__
from app.cli import config, deliveries, demo, healthcheck, notifications, server
from app.cli.output import Exit
from app.domain.errors import DatabaseUnavailable, StartRefused

app = typer.Typer(
    name="aisha-webhook", no_args_is_help=True, add_completion=False, help="Aisha's fal.ai webhook server."
)
app.command("serve")(server.serve)
app.command("migrate")(server.migrate)
app.command("demo")(demo.demo)
app.command("healthcheck")(healthcheck.healthcheck)
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(notifications.app, name="notifications")
app.add_typer(config.app, name="config")


@app.callback(invoke_without_command=True)
def version(*, version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Receive fal.ai's training webhooks: prove, store, apply once, tell once."""
    if version:
        sys.stdout.write(f"aisha-webhook {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run the command; what went wrong outside of us becomes one line and an exit code."""
    try:
        app()
    except StartRefused as refused:
        sys.stderr.write(f"{refused}\n")
        sys.exit(Exit.CONFIG)
    except DatabaseUnavailable as error:
        sys.stderr.write(f"the database does not answer: {error}\n")
        sys.exit(Exit.REMOTE_DOWN)
