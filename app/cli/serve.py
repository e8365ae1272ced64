"""Start the server."""

import os
import sys

import typer

app = typer.Typer(add_completion=False)


@app.command()
def serve() -> None:
    """Start the server with the current settings."""
    # This process becomes the server: what the command line imported would stay in its memory for weeks.
    os.execv(sys.executable, [sys.executable, "-m", "app.main"])  # noqa: S606  our own code, by this interpreter
