"""What the queues' commands share: list, show, redrive, ignore."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog
import typer

from app.cli.ground import require_database
from app.cli.output import called, fail, print_fields, print_json, print_table, say
from app.core.clock import SystemClock
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.db import fitness, operator_queries, overtaking, retention, schema
from app.db.engine import Database, open_database
from app.db.operator_queries import Queue
from app.domain.errors import DatabaseUnfit
from app.domain.invented import Invented
from app.domain.language import Msgid, msgid
from app.flows.operate import Operation, operate
from app.telegram.alert_wording import REASONS
from app.telegram.catalogs import Catalogs

NONE = msgid("no {queue}")
NONE_IN_STATE = msgid("no {queue} in state {state}")
CHANGED = msgid("{operation} done")
LEFT = msgid("left as it is: {why}")
UNKNOWN_KEY = msgid("no {queue} with id or request id {key}; to see them: {cli} {queue} list")
NOT_MIGRATED = msgid("the database has not been migrated: run `{cli} migrate`")

T = TypeVar("T")


def show_list(queue: Queue, columns: Sequence[str], *, state: str | None, limit: int, as_json: bool) -> None:
    """List rows, newest first."""

    async def read(database: Database) -> list[dict[str, Any]]:
        return await database.read(operator_queries.recent, queue, state=state, limit=limit)

    rows = with_database(read)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, columns, say(NONE_IN_STATE if state else NONE, queue=queue, state=state))
        explain_reasons({row["reason"] for row in rows})


def explain_reasons(reasons: set[str | None]) -> None:
    """Say below a list what its reasons mean; not into a pipe, where a line is a row."""
    known = sorted(reason for reason in reasons if reason in REASONS)
    if not known or not sys.stdout.isatty():
        return
    words = Catalogs("ru").of(load_settings().operator_language)
    typer.echo()
    for reason in known:
        typer.echo(f"{reason}: {words.gettext(f'reason.{reason}')}")


def show_one(queue: Queue, key: str, *, as_json: bool) -> None:
    """Show rows whole, by our id or fal's request id; exit 1 where there is none."""
    rows = _find(queue, key, as_json=as_json)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        print_fields(row)


def change(queue: Queue, operation: Operation, keys: Sequence[str], *, why: str | None = None) -> None:
    """Redrive or ignore the rows of these keys; exit 1 when nothing could be changed.

    What is ignored is redriven only when it is named by our id: a request id may name several rows, and what was closed
    must be meant.
    """
    rows = {row["id"]: row for key in keys for row in _find(queue, key)}
    meant = [row_id for row_id, row in rows.items() if not _is_closed(operation, row) or str(row_id) in keys]

    # What is logged here is no answer: it goes where complaints go.
    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))

    async def run(database: Database) -> list[int]:
        invented = Invented.of(load_settings().invented_artifacts)
        who = getpass.getuser()
        return await operate(database, SystemClock(), queue, operation, ids=meant, who=who, why=why, invented=invented)

    changed = with_database(run)
    for row_id, row in rows.items():
        why = say(_why_left(row, operation, meant=row_id in meant), operation=operation, state=row["state"])
        what = say(CHANGED if row_id in changed else LEFT, operation=operation, why=why)
        typer.echo(f"{queue} {row_id}: {what}")
    if not changed:
        raise typer.Exit(Exit.CHECK_FAILED)


def _is_closed(operation: Operation, row: dict[str, Any]) -> bool:
    return operation is Operation.REDRIVE and row["state"] == "ignored"


def _why_left(row: dict[str, Any], operation: Operation, *, meant: bool) -> Msgid:
    match row:
        case {"reason": operator_queries.OVERTAKEN}:
            return msgid("its owner is told that the avatar is ready instead")
        case {"state": "pending", "reason": overtaking.SENDING}:
            return msgid("it is being sent now")
        case {"detail": retention.EMPTIED} | {"state": "dead" | "pending" | "ignored", "body": None}:
            return msgid("retention has emptied it")
        case {"state": "done", "body": None}:
            return msgid("it is applied, and retention has emptied it")
        case {"state": "done"} if operation is Operation.REDRIVE:
            return msgid("done already, its avatar has not drifted: nothing to redrive")
        case {"state": "done"}:
            return msgid("it is done already, there is nothing to {operation}")
        case {"state": "sent"}:
            return msgid("it is sent already, there is nothing to {operation}")
        case {"state": "dead", "chat_id": None}:
            return msgid("its owner has no chat id; correct users.telegram_id first")
        case _ if not meant:
            return msgid("it is ignored; name it by its id to redrive it all the same")
        case _:
            return msgid("it is {state} already")


def _find(queue: Queue, key: str, *, as_json: bool = False) -> list[dict[str, Any]]:
    async def read(database: Database) -> list[dict[str, Any]]:
        return await database.read(operator_queries.find, queue, key)

    rows = with_database(read)
    if not rows:
        text = say(UNKNOWN_KEY, queue=queue, key=repr(key), cli=called())
        fail(text, Exit.CHECK_FAILED, as_json=as_json)
    return rows


def with_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run work on the database of the settings. Raises DatabaseUnfit where it was not migrated."""
    settings = load_settings()
    require_database(settings)

    async def run() -> T:
        database = open_database(settings.database_url.get_secret_value())
        try:
            await fitness.check_ground(database, settings.operator_language)
            if await schema.is_behind(database):
                raise DatabaseUnfit([say(NOT_MIGRATED, cli=called())])
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
