"""Look at deliveries, and decide about those that were buried."""

from typing import Annotated

import typer

from app.cli import operate
from app.db.operator_queries import Queue
from app.domain.delivery import DeliveryState
from app.flows.operate import Operation

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What fal delivered.")

COLUMNS = ("id", "request_id", "state", "reason", "attempt", "repeats", "received_at", "finished_at")
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Keys = Annotated[list[str], typer.Argument(help="Our ids or fal's request ids.")]


@app.command("list")
def list_(
    *,
    state: Annotated[DeliveryState | None, typer.Option(help="Only this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:
    """List deliveries, newest first."""
    operate.show_list(Queue.DELIVERIES, COLUMNS, state=state, limit=limit, as_json=json)


@app.command()
def show(key: Annotated[str, typer.Argument(help="Our id or fal's request id.")], *, json: Json = False) -> None:
    """Show deliveries whole: body, headers, and why they ended."""
    operate.show_one(Queue.DELIVERIES, key, as_json=json)


@app.command()
def redrive(keys: Keys) -> None:
    """Try again now; what is done already stays done."""
    operate.change(Queue.DELIVERIES, Operation.REDRIVE, keys)


@app.command()
def ignore(keys: Keys) -> None:
    """Close without applying."""
    operate.change(Queue.DELIVERIES, Operation.IGNORE, keys)
