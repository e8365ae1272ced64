"""What the queues' commands share with the pages: a search in words, and following new rows."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

import orjson
import typer

from app.cli.operate import explain_reasons, show_list, with_database
from app.cli.output import print_json, print_table, say
from app.core.clock import SystemClock
from app.core.text import one_line
from app.db.engine import Database
from app.db.operator_queries import Queue
from app.db.views import pages
from app.db.views.pages import Page
from app.domain.errors import SearchRefused
from app.domain.language import Msgid, msgid
from app.domain.search import QUEUES, Search, parse_search, suggest

EVERY = 1.0  # s between two looks of `tail`
NONE_LIKE = msgid("no {queue} like this")
SEARCHED = msgid("bodies looked at: {bodies}, all of them")
SEARCHED_PART = msgid("only the newest bodies were looked at: {bodies}; a time looks further back")
NEWEST = msgid("the newest {limit} of {amount}")
NO_CONTAINS = msgid("tail does not look into bodies: leave out contains:, or use list")
REFUSALS: dict[str, Msgid] = {
    str(words): words
    for words in (
        msgid("a search is at most {most} characters long"),
        msgid("{name}: stands twice"),
        msgid("cannot be read from here: {rest}"),
        msgid("{name}: wants a word"),
        msgid("{name}: takes no NUL"),
        msgid("chat: wants Telegram's number of a chat, not {value}"),
        msgid("{name}: wants a time such as 2026-11-29T12:30, or 6h for six hours ago"),
        msgid("unknown {what} {word}: did you mean {near}? there are: {known}"),
        msgid("unknown {what} {word}; there are: {known}"),
        msgid("this takes too long: narrow it by a time or a state, such as after:6h"),
        msgid("an act takes at most 100,000 rows: narrow the search"),
    )
}
OVERLAP = 200  # ids looked at once more: on PostgreSQL they are committed out of order


def complete_search(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete the last word of a search in the queue whose command this is.

    bash takes `state:de` for three words, and replaces the last of them.
    """
    queue = "" if ctx.parent is None else ctx.parent.info_name or ""
    if queue not in QUEUES:
        return []
    before = [str(word) for word in ctx.params.get("search") or ()]
    if before[-1:] == [":"]:
        name = "".join(before[-2:])
        return [one.removeprefix(name) for one in suggest(f"{name}{incomplete}", queue)]
    return suggest(incomplete, queue)


def search_argument() -> Any:
    """Describe the argument that takes a search."""
    text = "What to look for: 'state:dead reason:orphan after:6h'. See docs/history.md."
    return typer.Argument(help=text, autocompletion=complete_search)


Lines = Annotated[int, typer.Option("--lines", "-n", min=0, max=1000, help="So many of the newest rows first.")]


def read_search(text: str | Sequence[str] | None, queue: Queue) -> Search:
    """Understand a search, or say what is wrong with it. Raises typer.BadParameter."""
    words = text if isinstance(text, str) else " ".join(text or ())
    try:
        return parse_search(words, queue.value, SystemClock().now())
    except SearchRefused as error:
        raise typer.BadParameter(worded(error)) from error


def worded(error: SearchRefused) -> str:
    """Say in the operator's language why a search is refused."""
    return say(REFUSALS[error.sentence], **error.facts) if error.sentence in REFUSALS else str(error)


def show(
    queue: Queue, columns: Sequence[str], words: Sequence[str] | None, *, state: str | None, limit: int, as_json: bool
) -> None:
    """List rows, newest first: of a search, or of a state."""
    if not words:
        show_list(queue, columns, state=state, limit=limit, as_json=as_json)
        return
    show_found(queue, columns, [*words, *([f"state:{state}"] if state else [])], limit=limit, as_json=as_json)


def show_found(queue: Queue, columns: Sequence[str], words: Sequence[str], *, limit: int, as_json: bool) -> None:
    """List the newest rows of a search, and how many there are."""
    search = read_search(words, queue)

    async def read(database: Database) -> tuple[Page, pages.Amount]:
        found = await database.read(pages.page, queue, search, limit=limit)
        return found, await database.read(pages.count, queue, search)

    found, amount = _or_too_wide(read)
    if as_json:
        print_json(found.rows)
    else:
        print_table(found.rows, columns, say(NONE_LIKE, queue=queue))
        explain_reasons({row["reason"] for row in found.rows})
    if search.contains is not None:
        words = SEARCHED if found.is_whole else SEARCHED_PART
        typer.echo(say(words, bodies=f"{found.searched or 0:,}"), err=True)
    elif len(found.rows) == limit:
        typer.echo(say(NEWEST, limit=f"{limit:,}", amount=amount), err=True)


def follow(
    queue: Queue,
    words: Sequence[str],
    *,
    lines: int,
    as_json: bool,
    wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Print rows as they come, until the command is interrupted; `wait` passes the time (s) between two looks."""
    search = read_search(words, queue)
    if search.contains is not None:
        raise typer.BadParameter(say(NO_CONTAINS))

    async def run(database: Database) -> None:
        newest = await database.read(pages.page, queue, search, limit=max(lines, OVERLAP))
        last = newest.rows[0]["id"] if newest.rows else 0
        seen = {row["id"] for row in newest.rows}
        for row in newest.rows[:lines][::-1]:
            _print_line(row, as_json=as_json)
        while True:
            await wait(EVERY)
            found = await database.read(pages.page, queue, search, after=max(last - OVERLAP, 0), limit=1000)
            if not seen and last == 0 and not found.rows:
                continue
            for row in reversed(found.rows):
                if row["id"] not in seen and row["id"] > last - OVERLAP:
                    _print_line(row, as_json=as_json)
                    seen.add(row["id"])
            last = max([last, *seen])
            seen = {row_id for row_id in seen if row_id > last - 2 * OVERLAP}

    with_database(run)


def _print_line(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(f"{orjson.dumps(row, default=str).decode()}\n")
    else:
        at = row["received_at"].isoformat(sep=" ", timespec="seconds")
        words = (at, row["id"], row["state"], row["reason"] or "-", row["request_id"], row["source"])
        sys.stdout.write(f"{one_line('  '.join(map(str, words)))}\n")
    sys.stdout.flush()


def _or_too_wide(read: Callable[[Database], Any]) -> Any:
    try:
        return with_database(read)
    except SearchRefused as error:
        raise typer.BadParameter(worded(error)) from error
