"""How long the operator's reads take on a large history, on both databases: `python -m bench.views --rows 1000000`.

Each read runs once, and then `--times` times; the slowest reads are printed. Exit 1 where the median of one is above
its bound: 300 ms for a page, 500 ms for a search in bodies, 20 ms for what /metrics reads. SQLite's times are CPU's,
for it works within our thread, and other work of the machine does not count; PostgreSQL's are those that pass.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.engine import Connection

from app.core.clock import SystemClock
from app.db import rehearsing
from app.db.engine import open_database
from app.db.figures import read as read_metrics
from app.db.migrate import migrate
from app.db.operator_queries import Queue
from app.db.views import charts, figures, one, open_jobs, pages
from app.domain.errors import SearchTooWide
from app.domain.search import Search, parse_search
from bench.views_rows import fill
from tests.factories import BOT_TABLES
from tests.postgres import start_postgres, with_database

PAGE, SEARCH, SCRAPE = 300.0, 500.0, 20.0  # ms
SEARCHES = {
    Queue.DELIVERIES: (
        "", "state:dead", "state:done", "state:pending", "state:ignored", "reason:orphan", "reason:completed",
        "reason:conflict state:dead", "reason:orphan state:pending", "state:done reason:failed", "after:6h",
        "before:20d", "after:20d before:19d state:dead", "request:{request}", "{request}", "avatar:{avatar}",
        "owner:{owner}", "chat:{chat}", "owner:{owner} state:done", "kind:test", "kind:training state:done",
        "state:dead reason:orphan after:3d",
    ),
    Queue.NOTIFICATIONS: (
        "", "state:dead", "state:sent", "state:pending", "reason:blocked", "avatar:{avatar}", "owner:{owner}",
        "chat:{chat}", "request:{request}", "kind:ready", "kind:failed state:sent", "after:6h", "state:sent after:2d",
    ),
    Queue.JOBS: (
        "", "state:pending", "state:dead", "state:done", "avatar:{avatar}", "owner:{owner}", "chat:{chat}",
        "request:{request}", "stage:at_work state:pending", "reason:result_gone", "after:6h",
    ),
}  # fmt: skip
BODIES = ("contains:nowhere-to-be-found", "contains:Айша", "contains:lora state:dead", "contains:nothing after:1d")
Read = Callable[..., Any]


def reads(rows: int, now: datetime) -> Iterator[tuple[str, float, Read]]:
    """Name every read, its bound in ms, and how to make it."""
    middle = rows // 2
    facts = {"request": f"req-{middle}", "avatar": f"avatar-{middle}", "owner": f"owner-{middle // 5}", "chat": middle}
    for queue, searches in SEARCHES.items():
        for words in searches:
            search = parse_search(words.format(**facts), queue, now)
            yield from _of_search(f"{queue}: {words or '(all)'}", queue, search, middle)
    for words in BODIES:
        search = parse_search(words, Queue.DELIVERIES, now)
        yield f"deliveries: {words}", SEARCH, lambda c, s=search: pages.page(c, Queue.DELIVERIES, s)
    yield "jobs with usual times", PAGE, lambda c: open_jobs.jobs_page(c, Search(), now=now, trainer_of=lambda _: None)
    yield "one delivery", PAGE, lambda c: one.one_delivery(c, middle)
    yield "one job", PAGE, lambda c: one.one_job(c, middle)
    yield "one message", PAGE, lambda c: one.one_message(c, middle)
    yield "metrics", SCRAPE, lambda c: read_metrics(c, now)
    yield "errors", PAGE, lambda c: figures.errors(c, now)
    yield "balance", PAGE, lambda c: figures.balance(c, now)
    yield "audit", PAGE, figures.audit
    for period in charts.STEPS:
        yield f"charts {period}", PAGE, lambda c, p=period: charts.charts(c, now, p)
    dead = parse_search("state:dead reason:orphan", Queue.DELIVERIES, now)
    yield "rows of an act", 5_000.0, lambda c: rehearsing.meant(c, Queue.DELIVERIES, dead, is_redrive=True)


def _of_search(name: str, queue: Queue, search: Search, middle: int) -> Iterator[tuple[str, float, Read]]:
    yield f"{name}", PAGE, lambda c: pages.page(c, queue, search)
    yield f"{name}, page at {middle}", PAGE, lambda c: pages.page(c, queue, search, before=middle)
    yield f"{name}, back from {middle}", PAGE, lambda c: pages.page(c, queue, search, after=middle)
    yield f"{name}, count", PAGE, lambda c: pages.count(c, queue, search)
    yield f"{name}, facets", PAGE, lambda c: pages.facets(c, queue, search)


@contextmanager
def sqlite_url(folder: str | None) -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir=folder) as made:
        yield f"sqlite:///{Path(made) / 'views.db'}"


@contextmanager
def postgresql_url(folder: str | None) -> Iterator[str]:  # noqa: ARG001  as sqlite_url
    with start_postgres() as server:
        name = f"views_{uuid.uuid4().hex[:8]}"
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        url = with_database(server, name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(BOT_TABLES)
        yield url


async def measure(url: str, rows: int, times: int, *, slowest: int, only: str) -> int:
    """Fill, read, print; return how many reads were above their bound."""
    migrate(url)
    database = open_database(url)
    now = SystemClock().now().astimezone(UTC)
    begin = time.perf_counter()
    with database.engine.begin() as transaction:
        fill(transaction, rows, now)
    with database.engine.connect() as connection:
        if not database.is_sqlite:
            connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("VACUUM ANALYZE"))
    print(f"filled with {rows:,} deliveries, messages and jobs in {time.perf_counter() - begin:.0f} s", flush=True)
    found: list[tuple[float, float, str, float, str]] = []
    for name, bound, read in [asked for asked in reads(rows, now) if asked[0].startswith(only)]:
        took, said = [], ""
        for turn in range(times + 1):
            begin = time.perf_counter()
            try:
                result = await database.read(_timed, read)
                took += [result[0] * 1000] if turn else []  # the first one builds the statements
                said = _describe(result[1])
            except SearchTooWide:
                took += [(time.perf_counter() - begin) * 1000] if turn else []
                said = "TOO WIDE"
        found.append((max(took), statistics.median(took), name, bound, said))
    await database.close()
    above = [one for one in found if one[1] > one[3] or one[4] == "TOO WIDE"]
    print(f"{len(found)} reads, {len(above)} above their bound; the {slowest} slowest:")
    print(f"{'worst ms':>9} {'median':>8} {'bound':>6}  read")
    for worst, median, name, bound, said in sorted(found, key=lambda one: -one[1])[:slowest]:
        print(f"{worst:9.1f} {median:8.1f} {bound:6.0f}  {name}  {said}{'  ABOVE' if median > bound else ''}")
    return len(above)


def _timed(connection: Connection, read: Read) -> tuple[float, Any]:
    clock = time.thread_time if connection.dialect.name == "sqlite" else time.perf_counter
    begin = clock()
    result = read(connection)
    return clock() - begin, result


def _describe(result: Any) -> str:
    match result:
        case pages.Page():
            searched = "" if result.searched is None else f" searched {result.searched:,}, whole {result.is_whole}"
            return f"({len(result.rows)} rows{searched})"
        case pages.Amount():
            return f"({result})"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", default="", help="reads whose name begins so")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--slowest", type=int, default=25)
    parser.add_argument("--engines", default="sqlite,postgresql")
    parser.add_argument("--folder", help="where SQLite's file is put for the time being")
    given = parser.parse_args()
    above = 0
    for engine in given.engines.split(","):
        print(f"== {engine}", flush=True)
        with (sqlite_url if engine == "sqlite" else postgresql_url)(given.folder) as url:
            above += asyncio.run(measure(url, given.rows, given.times, slowest=given.slowest, only=given.only))
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    main()
