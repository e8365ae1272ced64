"""Look at deliveries, and decide about those that were buried."""

from typing import Annotated

import typer

from app.cli import browse, operate
from app.cli.bulk import offer
from app.cli.output import Json
from app.db.operator_queries import Queue
from app.domain.delivery import DeliveryState

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What fal delivered.")

COLUMNS = ("id", "request_id", "state", "reason", "attempt", "repeats", "received_at", "finished_at")


@app.command("list")
def list_(
    search: Annotated[list[str] | None, browse.search_argument()] = None,
    *,
    state: Annotated[DeliveryState | None, typer.Option(help="Only this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:
    """List deliveries, newest first."""
    browse.show(Queue.DELIVERIES, COLUMNS, search, state=state, limit=limit, as_json=json)


@app.command()
def tail(
    search: Annotated[list[str] | None, browse.search_argument()] = None,
    *,
    lines: browse.Lines = 10,
    json: Json = False,
) -> None:
    """Follow deliveries as they come, a line each; Ctrl-C ends it. `--json`: a JSON document in each line."""
    browse.follow(Queue.DELIVERIES, search or [], lines=lines, as_json=json)


@app.command()
def show(key: Annotated[str, typer.Argument(help="Our id or fal's request id.")], *, json: Json = False) -> None:
    """Show deliveries whole: body, headers, and why they ended."""
    operate.show_one(Queue.DELIVERIES, key, as_json=json)


offer(
    app,
    Queue.DELIVERIES,
    redrive="Try again now; what is done already stays done.",
    ignore="Close without applying.",
)
