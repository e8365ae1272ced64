"""What a run works on: deliveries signed a moment ago, and a database that knows their trainings."""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import psycopg

from app.db.url import sqlite_file
from app.twins.bodies import job_id, success
from app.twins.signing import ACCOUNT, FalKey, sign
from bench.drain_books import Books
from bench.serving import PATH

HEAD = (
    "POST {path}?training_type=portrait HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n"
    "Accept: */*\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\n{signed}\r\n\r\n"
)
AVATARS_PER_OWNER = 4
FIRST_CHAT = 5_000_000_000  # beyond the chats that a backlog's owners have
OWNERS = "users (id, telegram_id)"
AVATARS = "avatars (id, user_id, name, training_type, status, fal_request_id)"

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """A file for walk.lua, and the request ids in it, each once."""

    path: Path
    request_ids: list[str]
    signed_per_second: float


def write_deliveries(path: Path, key: FalKey, amount: int) -> Deliveries:
    """Sign `amount` deliveries of ids never used before, now: they are good for 300 s."""
    started = time.monotonic()
    request_ids = [job_id(number) for number in islice(_numbers, amount)]
    at = int(time.time())
    with path.open("wb") as file:
        for request_id in request_ids:
            body = success(request_id)
            headers = sign(key, request_id, ACCOUNT, at, body)
            signed = "\r\n".join(f"{name}: {value}" for name, value in headers.items())
            request = HEAD.format(path=PATH, length=len(body), signed=signed).encode() + body
            file.write(b"%06d%b" % (len(request), request))
    return Deliveries(path, request_ids, amount / (time.monotonic() - started))


def add_trainings(url: str, request_ids: Sequence[str]) -> None:
    """Make each request id an avatar in training, four to an owner, in a database that is migrated."""
    path = sqlite_file(url)
    if path is None:
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            for copy, rows in ((OWNERS, _owners(len(request_ids))), (AVATARS, _avatars(request_ids))):
                with cursor.copy(f"COPY {copy} FROM STDIN".encode()) as into:
                    for row in rows:
                        into.write_row(row)
        return
    with closing(sqlite3.connect(path)) as lite, lite:
        lite.executemany(f"INSERT INTO {OWNERS} VALUES (?, ?)", _owners(len(request_ids)))
        lite.executemany(f"INSERT INTO {AVATARS} VALUES (?, ?, ?, ?, ?, ?)", _avatars(request_ids))


@dataclass(frozen=True, slots=True)
class Stored:
    """What a database of ours holds after a run."""

    answered: int  # distinct request ids that were answered 2xx
    missing: int  # of these, without a row or with other bytes than were sent
    rows: int


def check_stored(books: Books, answered_file: Path) -> Stored:
    """Compare the request ids that were answered 2xx with the rows on disk, byte for byte."""
    answered = set(answered_file.read_text(encoding="ascii").split())
    rows = dict(books.rows("SELECT request_id, body FROM webhook_deliveries"))
    missing = sum(rows.get(request_id) != success(request_id) for request_id in answered)
    return Stored(len(answered), missing, len(rows))


def count_applied(books: Books) -> int:
    """Count the avatars whose training is done."""
    return books.count("SELECT count(*) FROM avatars WHERE status = 'completed'")


def _owners(avatars: int) -> Iterator[tuple[str, str]]:
    for index in range(avatars // AVATARS_PER_OWNER + 1):
        yield _id(index), str(FIRST_CHAT + index)


def _avatars(request_ids: Sequence[str]) -> Iterator[tuple[str, str, str, str, str, str]]:
    for index, request_id in enumerate(request_ids):
        yield _id(index), _id(index // AVATARS_PER_OWNER), "Айша", "portrait", "training", request_id


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"
