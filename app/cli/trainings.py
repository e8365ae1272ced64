"""Trainings: our job beside the bot's row; submitted, looked at, cancelled."""

from typing import Annotated, Any

import typer

from app.cli import operate
from app.cli.output import Json, print_json, print_table, say
from app.db import schema
from app.db.engine import Database
from app.db.training_list import list_trainings
from app.domain.language import msgid
from app.domain.submission import STEPS_LEAST, STEPS_MOST
from app.domain.trainer import Trainer

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Trainings, as the bot and this server have them.")

COLUMNS = ("request_id", "name", "owner", "status", "stage", "outcome", "first_seen_at", "finished_at")


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


@app.command()
def submit(
    *,
    avatar: Annotated[str, typer.Option(help="The avatar's id.")],
    photos: Annotated[str, typer.Option(help="A folder, a zip, or the https address of a zip.")],
    type_: Annotated[Trainer, typer.Option("--type", help="The avatar's type.")] = Trainer.PORTRAIT,
    trigger: Annotated[str | None, typer.Option(help="The word that means the avatar; TOK_… by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=STEPS_LEAST, max=STEPS_MOST)] = None,
    key: Annotated[str | None, typer.Option(help="An idempotency key of your own.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Submit although an answer was lost: you have looked, fal does not have it.")
    ] = False,
    json: Json = False,
) -> None:
    """Submit a training to fal, once: photos are checked and uploaded, the price is looked at."""
    from app.cli import submit as work  # noqa: PLC0415  the other commands need neither fal nor photos

    work.submit(avatar, photos, trainer=type_, trigger=trigger, steps=steps, key=key, again=again, as_json=json)


@app.command()
def show(request_id: Annotated[str, typer.Argument(help="fal's request id.")], *, json: Json = False) -> None:
    """Show how far a training is."""
    from app.cli import submit as work  # noqa: PLC0415  as above

    work.show(request_id, as_json=json)


@app.command()
def cancel(request_id: Annotated[str, typer.Argument(help="fal's request id.")], *, json: Json = False) -> None:
    """Ask fal to cancel a training; one that has ended stays as it is."""
    from app.cli import submit as work  # noqa: PLC0415  as above

    work.cancel(request_id, as_json=json)
