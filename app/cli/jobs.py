"""Look at jobs: what we expect of fal, and how far it is."""

from typing import Annotated

import typer

from app.cli import browse, operate
from app.cli.output import Json
from app.db.operator_queries import Queue
from app.domain.job import JobState

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What fal works on for us.")

COLUMNS = ("request_id", "state", "stage", "outcome", "reason", "first_seen_at", "looked_at", "due_at")


@app.command("list")
def list_(
    search: Annotated[list[str] | None, browse.search_argument()] = None,
    *,
    state: Annotated[JobState | None, typer.Option(help="Only this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:
    """List jobs, newest first."""
    browse.show(Queue.JOBS, COLUMNS, search, state=state, limit=limit, as_json=json)


@app.command()
def show(key: Annotated[str, typer.Argument(help="fal's request id, or ours.")], *, json: Json = False) -> None:
    """Show a job whole: where it is at fal, when it was looked at, how it ended."""
    operate.show_one(Queue.JOBS, key, as_json=json)
