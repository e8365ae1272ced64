"""Look at what owners were told, and try again what was not sent."""

from typing import Annotated

import typer

from app.cli import browse, operate
from app.cli.bulk import offer
from app.cli.output import Json
from app.db.operator_queries import Queue
from app.domain.notification import NotificationState

app = typer.Typer(no_args_is_help=True, add_completion=False, help="What owners were told.")

COLUMNS = ("id", "request_id", "kind", "chat_id", "state", "reason", "attempt", "message_id", "finished_at")


@app.command("list")
def list_(
    search: Annotated[list[str] | None, browse.search_argument()] = None,
    *,
    state: Annotated[NotificationState | None, typer.Option(help="Only this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:
    """List notifications, newest first."""
    browse.show(Queue.NOTIFICATIONS, COLUMNS, search, state=state, limit=limit, as_json=json)


@app.command()
def show(key: Annotated[str, typer.Argument(help="Our id or fal's request id.")], *, json: Json = False) -> None:
    """Show notifications whole, with Telegram's own words."""
    operate.show_one(Queue.NOTIFICATIONS, key, as_json=json)


offer(
    app,
    Queue.NOTIFICATIONS,
    redrive="Send again now what was not sent; what was sent stays sent.",
    ignore="Close without sending.",
)
