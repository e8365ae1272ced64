"""Look at trainings: our job beside the bot's row."""

from typing import Annotated, Any

import typer

from app.cli import operate
from app.cli.deliveries import Json
from app.cli.output import print_json, print_table, say
from app.db import schema
from app.db.engine import Database
from app.db.training_list import list_trainings
from app.domain.language import msgid

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Trainings, as the bot and this server have them.")

COLUMNS = ("request_id", "name", "owner", "status", "stage", "outcome", "first_seen_at", "finished_at")


@app.callback()
def _group() -> None:
    """Keep `list` a command of its own while there is no other."""


@app.command("list")
def list_(
    *,
    photos_left: Annotated[
        bool,
        typer.Option("--photos-left", help="Only those that we completed: the bot keeps their photos."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 50,
    json: Json = False,
) -> None:
    """List trainings, newest first."""

    async def read(database: Database) -> list[dict[str, Any]]:
        bot_tables = await schema.find_bot_tables(database)
        return await database.read(list_trainings, bot_tables, photos_left=photos_left, limit=limit)

    rows = operate.with_database(read)
    if json:
        print_json(rows)
    else:
        print_table(
            rows, COLUMNS, say(msgid("no trainings whose photos are left") if photos_left else msgid("no trainings"))
        )
