"""What the two queues' commands share: list, show, redrive, ignore."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import typer

from app.cli.output import Exit, print_fields, print_json, print_table
from app.core.clock import SystemClock
from app.core.loading import load_settings
from app.db import desk, schema
from app.db.desk import Queue
from app.db.engine import Database, open_database
from app.domain.errors import DatabaseUnfit
from app.flows.operate import Operation, operate

T = TypeVar("T")


def show_list(queue: Queue, columns: Sequence[str], *, state: str | None, limit: int, as_json: bool) -> None:
    """List rows, newest first."""

    async def read(database: Database) -> list[dict[str, Any]]:
        return await desk.recent(database, queue, state=state, limit=limit)

    rows = _with_database(read)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, columns, f"no {queue}" + (f" in state {state}" if state else ""))


def show_one(queue: Queue, key: str, *, as_json: bool) -> None:
    """Show rows whole, by our id or fal's request id; exit 1 where there is none."""
    rows = _find(queue, key)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_fields(row)


def change(queue: Queue, operation: Operation, keys: Sequence[str]) -> None:
    """Redrive or ignore the rows of these keys; exit 1 when nothing could be changed."""
    ids = [row["id"] for key in keys for row in _find(queue, key)]

    async def run(database: Database) -> list[int]:
        return await operate(database, SystemClock(), queue, operation, ids=ids, who=getpass.getuser())

    changed = _with_database(run)
    for row_id in ids:
        state = f"{operation} done" if row_id in changed else "left as it is: its state does not allow it"
        typer.echo(f"{queue} {row_id}: {state}")
    if not changed:
        raise typer.Exit(Exit.CHECK_FAILED)


def _find(queue: Queue, key: str) -> list[dict[str, Any]]:
    async def read(database: Database) -> list[dict[str, Any]]:
        return await desk.find(database, queue, key)

    rows = _with_database(read)
    if not rows:
        typer.echo(f"no {queue} with id or request id {key!r}; to see them: aisha-webhook {queue} list", err=True)
        raise typer.Exit(Exit.CHECK_FAILED)
    return rows


def _with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    settings = load_settings()

    async def run() -> T:
        database = open_database(settings.database_url.get_secret_value())
        try:
            if await schema.is_behind(database):
                raise DatabaseUnfit(["the database has not been migrated: run `aisha-webhook migrate`"])
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
