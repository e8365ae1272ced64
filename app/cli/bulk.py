"""Redrive and ignore by a search: rehearsed first, then done in batches."""

import getpass
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import structlog
import typer

from app import __version__
from app.bootstrap.rehearsing import open_rehearse
from app.cli.browse import complete_search, read_search, worded
from app.cli.operate import change, with_database
from app.cli.output import Json, called_again, fail, print_json, say
from app.core.clock import SystemClock
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.core.text import one_line
from app.db import operator_queries, rehearsing, schema
from app.db.engine import Database
from app.db.operator_queries import Act, Queue
from app.db.rehearsing import RowStand
from app.domain.errors import RowsChanged, SearchRefused
from app.domain.invented import Invented
from app.domain.language import Msgid, msgid
from app.domain.search import Search
from app.flows.act import BulkAct, require_unchanged
from app.flows.operate import Operation
from app.flows.rehearse import Rehearsal

Keys = Annotated[list[str] | None, typer.Argument(help="Our ids or fal's request ids.")]
Filter = Annotated[
    str | None,
    typer.Option(
        "--filter", help="Every row of this search: 'state:dead reason:orphan'.", autocompletion=complete_search
    ),
]
RehearseOnly = Annotated[bool, typer.Option("--rehearse", help="Say what it would do, and change nothing.")]
Why = Annotated[str | None, typer.Option("--why", help="The reason, kept in the history; a --filter wants one.")]
Digest = Annotated[str | None, typer.Option("--digest", help="Of the rehearsal: refuse when things have changed.")]

LINES: Mapping[str, Msgid] = {
    "becomes": msgid("{times} become {word}"),
    "unchanged": msgid("{times} are applied without a change ({word})"),
    "stays": msgid("{times} stay as they are ({word})"),
    "waits": msgid("{times} wait on ({word})"),
    "asks_fal": msgid("{times} would ask fal for the result: it decides"),
    "fails": msgid("{times} fail by a bug of ours"),
    "left": msgid("{times} are left as they are ({word})"),
    "ignored": msgid("{times} are closed (they were {word})"),
    "goes_out": msgid("{times} messages go out ({word})"),
}
WORDS: Mapping[str, Msgid] = {
    "keys_or_filter": msgid("give either ids or --filter"),
    "why": msgid("an act on a whole search wants --why"),
    "changed": msgid("things have changed since they were rehearsed: nothing was done. Rehearse again: {command}"),
    "done": msgid("{operation}: {changed} of {total} {queue}"),
    "progress": msgid("{done} of {total}"),
    "rehearsal": msgid("rehearsal: {operation} of {rows} {queue}; nothing was changed"),
    "sample": msgid("the first of them were played: {rows}"),
    "at_cdn": msgid("{times} of them only if fal's CDN still has the artifact"),
    "told": msgid("{told} owners told, {twice} told twice"),
    "again": msgid("to do it as it stands: {command}"),
}


def offer(app: typer.Typer, queue: Queue, *, redrive: str, ignore: str) -> None:
    """Give a queue's commands the two acts, each with its help."""
    app.command(Operation.REDRIVE.value, help=redrive)(_command(queue, Operation.REDRIVE))
    app.command(Operation.IGNORE.value, help=ignore)(_command(queue, Operation.IGNORE))


def _command(queue: Queue, operation: Operation) -> Callable[..., None]:
    def act(
        keys: Keys = None,
        *,
        filter_: Filter = None,
        rehearse: RehearseOnly = False,
        why: Why = None,
        digest: Digest = None,
        json: Json = False,
    ) -> None:
        if keys and filter_ is None and not (rehearse or digest or json):
            change(queue, operation, keys, why=why)
            return
        _act_on(queue, operation, keys or [], words=filter_, rehearse=rehearse, why=why, digest=digest, as_json=json)

    return act


def _act_on(
    queue: Queue,
    operation: Operation,
    keys: Sequence[str],
    *,
    words: str | None,
    rehearse: bool,
    why: str | None,
    digest: str | None,
    as_json: bool,
) -> None:
    """Rehearse an act on these keys, or on a search's rows, or do it; exit 1 when things have changed, or none did."""
    if (words is None) == (not keys):
        raise typer.BadParameter(say(WORDS["keys_or_filter"]))
    if words is not None and not rehearse and not (why or "").strip():
        raise typer.BadParameter(say(WORDS["why"]))
    search = None if words is None else read_search(words, queue)
    if not structlog.is_configured():
        structlog.configure(logger_factory=lambda *_: structlog.PrintLogger(sys.stderr))
    try:
        if rehearse:
            said = with_database(lambda database: _rehearse(database, queue, operation, search, keys))
            _print(said, as_json=as_json)
            return
        changed, total = with_database(
            lambda database: _act(database, queue, operation, search, keys, why=why or "by hand", digest=digest)
        )
    except SearchRefused as error:
        raise typer.BadParameter(worded(error)) from error
    except RowsChanged:
        rehearsal = re.sub(r" --digest[ =]\S+", " --rehearse", one_line(called_again()))
        fail(say(WORDS["changed"], command=rehearsal), Exit.CHECK_FAILED, as_json=as_json)
    if as_json:
        print_json({"operation": operation, "matched": total, "changed": changed})
    else:
        amounts = {"changed": f"{len(changed):,}", "total": f"{total:,}"}
        typer.echo(say(WORDS["done"], operation=operation, queue=queue, **amounts))
    if not changed:
        raise typer.Exit(Exit.CHECK_FAILED)


async def _meant(
    database: Database, queue: Queue, operation: Operation, search: Search | None, keys: Sequence[str]
) -> list[RowStand]:
    if search is not None:
        return await database.read(rehearsing.meant, queue, search, is_redrive=operation is Operation.REDRIVE)
    rows = [row for key in keys for row in await database.read(operator_queries.find, queue, key)]
    return sorted({RowStand(row["id"], row["attempt"], row["state"]) for row in rows})


async def _rehearse(
    database: Database, queue: Queue, operation: Operation, search: Search | None, keys: Sequence[str]
) -> Rehearsal:
    bot_tables = await schema.find_bot_tables(database)
    rehearse = await open_rehearse(load_settings(), database, bot_tables, SystemClock())
    return await rehearse(queue, operation, await _meant(database, queue, operation, search, keys))


async def _act(
    database: Database,
    queue: Queue,
    operation: Operation,
    search: Search | None,
    keys: Sequence[str],
    *,
    why: str,
    digest: str | None,
) -> tuple[list[int], int]:
    settings = load_settings()
    rows = await _meant(database, queue, operation, search, keys)
    if digest is not None:
        await require_unchanged(database, queue, operation, rows, digest=digest, code=__version__)
    invented = Invented.of(settings.invented_artifacts)
    by = Act(getpass.getuser(), why)
    act = BulkAct(database, SystemClock(), queue, operation, rows, act=by, invented=invented)

    def progress() -> None:
        if sys.stderr.isatty() and act.total > len(act.changed):
            so_far = say(WORDS["progress"], done=f"{act.done:,}", total=f"{act.total:,}")
            typer.echo(f"\r{so_far}", nl=act.done == act.total, err=True)

    return await act.run(progress), act.total


def _print(said: Rehearsal, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(said))
        return
    typer.echo(say(WORDS["rehearsal"], operation=said.operation, rows=f"{said.matched:,}", queue=said.queue))
    if said.is_sample:
        typer.echo(f"  {say(WORDS['sample'], rows=f'{len(said.rows):,}')}")
    for line in lines(said):
        typer.echo(f"  {line}")
    for row in said.rows[:5]:
        for name, (before, after) in row.changes.items():
            typer.echo(one_line(f"  {row.request_id}  {name}: {before or '-'} → {after or '-'}"))
        for message in row.messages:
            typer.echo(one_line(f"  {row.request_id}  {message.topic} ({message.language}): {message.text or '-'}"))
    if said.rows:
        again = called_again().replace(" --rehearse", "")
        typer.echo(say(WORDS["again"], command=f"{one_line(again)} --digest {said.digest}"))


def lines(said: Rehearsal) -> list[str]:
    """Word the summary: a line for each outcome, then who hears of it."""
    outcomes = [say(LINES[code], times=f"{times:,}", word=one_line(word)) for code, word, times in said.lines]
    looked = sum(row.asks == "artifact" for row in said.rows)
    at_cdn = [say(WORDS["at_cdn"], times=f"{looked:,}")] if looked else []
    return [*outcomes, *at_cdn, say(WORDS["told"], told=f"{said.told:,}", twice=f"{said.told_twice:,}")]
