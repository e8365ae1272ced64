"""What one claim costs in a table of a million finished rows, next to the same claim where there are none."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.core.clock import SystemClock
from app.db import inbox
from app.db.engine import Database, open_database
from app.flows.apply import BATCH
from bench.drain_books import Books, fill, new_ids
from bench.shelf import Shelf

PENDING = 2_000  # rows that wait beside the finished ones
LEASE = timedelta(seconds=60)

# Bodies of 720 bytes, about as long as fal's.
FINISHED = """
INSERT INTO webhook_deliveries (state, reason, due_at, attempt, request_id, body_sha256, fal_request_id, body, headers,
                                source, received_at, stored_at, last_received_at, finished_at)
SELECT 'done', 'completed', {moment}, 1, 'old-' || n, {hash}, 'old-' || n, {body}, '{{}}',
       'webhook', {moment}, {moment}, {moment}, {moment}
"""
POSTGRES = FINISHED.format(
    moment="now() - n * interval '1 second'",
    hash="md5(n::text) || md5(n::text)",
    body="decode(repeat('20', 720), 'hex')",
)
SQLITE = FINISHED.format(
    moment="strftime('%Y-%m-%d %H:%M:%f000', 'now', '-' || n || ' seconds')",
    hash="lower(hex(randomblob(32)))",
    body="zeroblob(720)",
)


@dataclass(frozen=True, slots=True)
class Claims:
    """Milliseconds per claim of a batch, its commit included, over the same turns."""

    engine: str
    finished: int
    among_none: list[float]
    among_many: list[float]

    def ratio(self) -> float:
        """Many to none, by medians."""
        return statistics.median(self.among_many) / statistics.median(self.among_none)


def claims(shelf: Shelf, finished: int, turns: int) -> Claims:
    """Claim in turns from a table without finished rows and from one with many, so that noise meets both."""
    none, many = shelf.new(), shelf.new()
    finish(many, finished)
    for books in (none, many):
        fill(books, new_ids(PENDING))
    return Claims(shelf.engine, finished, *claim_in_turns([none, many], turns))


def claim_in_turns(among: Sequence[Books], turns: int) -> list[list[float]]:
    """Return for each of these databases the milliseconds per claim of a batch, its commit included."""
    return asyncio.run(_in_turns(among, turns))


def finish(books: Books, amount: int) -> None:
    """Add that many finished rows."""
    if books.engine == "PostgreSQL":
        books.rows(f"{POSTGRES} FROM generate_series(1, {amount}) AS n")
        return
    numbers = f"WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {amount})"
    books.rows(f"{numbers} {SQLITE} FROM numbers")


async def _in_turns(among: Sequence[Books], turns: int) -> list[list[float]]:
    databases = [open_database(books.url) for books in among]
    spent: list[list[float]] = [[] for _ in databases]
    try:
        for turn in range(turns + 5):
            for database, took in zip(databases, spent, strict=True):
                milliseconds = await _claim(database)
                if turn >= 5:  # the first ones warm up
                    took.append(milliseconds)
    finally:
        for database in databases:
            await database.close()
    return spent


async def _claim(database: Database) -> float:
    """Claim as Apply does; the lease lies in the past, so that the rows are due again."""
    now = SystemClock().now()
    began = time.perf_counter()
    with database.engine.begin() as transaction:
        claimed = inbox.claim(transaction, now=now, lease_until=now - LEASE, limit=BATCH)
    took = (time.perf_counter() - began) * 1e3
    assert len(claimed) == BATCH
    return took
