"""Databases seen from outside the server: filled with a backlog, read afterwards."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import psycopg

from app.core.clock import SystemClock
from app.db import inbox
from app.db.engine import open_database
from app.db.schema import find_bot_tables
from app.db.url import sqlite_file
from app.domain.delivery import Delivery
from app.flows.intake import Intake
from app.twins.bodies import job_id, success
from tests.factories import Bot

GROUP = 500  # deliveries stored in one commit

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Books:
    """One database, seen from outside the server that works on it."""

    url: str

    @property
    def engine(self) -> str:
        """What the report calls it."""
        return "PostgreSQL" if sqlite_file(self.url) is None else "SQLite"

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement and return what it gives."""
        path = sqlite_file(self.url)
        if path is None:
            with psycopg.connect(self.url, autocommit=True) as connection:
                cursor = connection.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []
        with closing(sqlite3.connect(path, timeout=30)) as lite, lite:
            return lite.execute(statement).fetchall()

    def count(self, statement: str) -> int:
        """Return the one number that a statement gives."""
        return int(self.rows(statement)[0][0])

    def applied(self) -> int:
        """Count the deliveries that are done."""
        return self.count("SELECT count(*) FROM webhook_deliveries WHERE state = 'done'")

    def told(self) -> int:
        """Count the messages that were sent."""
        return self.count("SELECT count(*) FROM webhook_notifications WHERE state = 'sent'")

    def pace(self, table: str, state: str, among: str = "") -> "Pace":
        """Read from the rows' own `finished_at` how fast they were finished; `among` is a further AND."""
        ends = self.rows(
            f"SELECT finished_at, count(*) FROM {table} WHERE state = '{state}' {among} GROUP BY 1 ORDER BY 1"
        )
        return Pace([(_moment(at).timestamp(), int(amount)) for at, amount in ends])


@dataclass(frozen=True, slots=True)
class Pace:
    """When how many rows were finished."""

    ends: list[tuple[float, int]]

    @property
    def rows(self) -> int:
        """How many there were."""
        return sum(amount for _, amount in self.ends)

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return self.ends[-1][0] - self.ends[0][0]

    def per_second(self) -> float:
        """Rows after the first commit, by the time since it."""
        return (self.rows - self.ends[0][1]) / self.seconds

    def fifths(self) -> tuple[float, float]:
        """Return the rate over the first and over the last fifth of the commits: does it slow down with the backlog?"""
        fifth = max(len(self.ends) // 5, 2)
        return Pace(self.ends[:fifth]).per_second(), Pace(self.ends[-fifth:]).per_second()


def new_ids(amount: int) -> list[str]:
    """Return request ids never used before."""
    return [job_id(next(_numbers)) for _ in range(amount)]


def fill(books: Books, request_ids: Sequence[str]) -> None:
    """Store a successful delivery per request id, by the server's own code, and a training that waits for it."""
    asyncio.run(_fill(books.url, request_ids))
    if books.engine == "PostgreSQL":
        books.rows("VACUUM ANALYZE")


def know(books: Books, request_ids: Sequence[str]) -> None:
    """Make a training for each request id; their deliveries come later."""
    asyncio.run(_know(books.url, request_ids))


def meet(books: Books) -> None:
    """Make the jobs of all trainings, as the server does within seconds of their beginning: hours before a webhook."""
    asyncio.run(_meet(books.url))


def poison(books: Books, request_ids: Sequence[str]) -> None:
    """Let the bot's table refuse what these trainings become: whoever writes one breaks its whole commit."""
    words = ", ".join(f"'{request_id}'" for request_id in request_ids)
    if books.engine == "PostgreSQL":
        books.rows(f"ALTER TABLE avatars ADD CHECK (fal_request_id NOT IN ({words}) OR status = 'training')")
        return
    books.rows(
        f"CREATE TRIGGER poison BEFORE UPDATE ON avatars WHEN NEW.fal_request_id IN ({words})"
        " BEGIN SELECT RAISE(ABORT, 'poison'); END"
    )


async def _know(url: str, request_ids: Sequence[str]) -> None:
    database = open_database(url)
    try:
        await Bot(database).train_many(request_ids)
    finally:
        await database.close()


async def _fill(url: str, request_ids: Sequence[str]) -> None:
    clock = SystemClock()
    database = open_database(url)
    try:
        await Bot(database).train_many(request_ids)
        for group in _groups(request_ids):
            with database.engine.begin() as transaction:
                inbox.put(transaction, [(_delivery(one, clock.now()), clock.now()) for one in group])
    finally:
        await database.close()


async def _meet(url: str) -> None:
    minutes = timedelta(minutes=2)
    database = open_database(url)
    try:
        tables = await find_bot_tables(database, "en")
        intake = Intake(
            database,
            tables,
            SystemClock(),
            endpoint_of=lambda _: "fal-ai/flux-lora-portrait-trainer",
            after=minutes,
            every=minutes,
            wake=lambda: None,
        )
        await intake.take_in()
    finally:
        await database.close()


def _groups(request_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(request_ids), GROUP):
        yield request_ids[start : start + GROUP]


def _delivery(request_id: str, now: datetime) -> Delivery:
    body = success(request_id)
    return Delivery(request_id, body, hashlib.sha256(body).hexdigest(), {}, now)


def _moment(at: datetime | str) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromisoformat(at).replace(tzinfo=UTC)
