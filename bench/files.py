"""What a run works on: deliveries signed a moment ago, and a database that knows their trainings."""

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from app.db.migrate import migrate
from app.twins.bodies import job_id, success
from app.twins.signing import ACCOUNT, FalKey, sign
from bench.serving import PATH

HEAD = (
    "POST {path}?training_type=portrait HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n"
    "Accept: */*\r\nAccept-Encoding: gzip\r\nContent-Type: application/json\r\n{signed}\r\n\r\n"
)
AVATARS_PER_OWNER = 4

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


def make_database(path: Path, request_ids: list[str]) -> None:
    """Make a database of this version in which each request id is an avatar in training."""
    migrate(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany("INSERT INTO users (id, telegram_id) VALUES (?, ?)", _owners(len(request_ids)))
        connection.executemany(
            "INSERT INTO avatars (id, user_id, name, training_type, status, fal_request_id)"
            " VALUES (?, ?, 'Айша', 'portrait', 'training', ?)",
            ((_id(index), _id(index // AVATARS_PER_OWNER), request_id) for index, request_id in enumerate(request_ids)),
        )


def copy_database(source: Path, target: Path, *, journal: str = "WAL") -> Path:
    """Copy a closed database and set its journal mode, which is kept in the file."""
    shutil.copyfile(source, target)
    with closing(sqlite3.connect(target)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
    return target


@dataclass(frozen=True, slots=True)
class Stored:
    """What a database of ours holds after a run."""

    answered: int  # distinct request ids that were answered 2xx
    missing: int  # of these, without a row or with other bytes than were sent
    rows: int


def check_stored(database: Path, answered_file: Path) -> Stored:
    """Compare the request ids that were answered 2xx with the rows on disk, byte for byte."""
    answered = set(answered_file.read_text(encoding="ascii").split())
    with closing(sqlite3.connect(database)) as connection:
        rows = dict(connection.execute("SELECT request_id, body FROM webhook_deliveries"))
    missing = sum(rows.get(request_id) != success(request_id) for request_id in answered)
    return Stored(len(answered), missing, len(rows))


def count_applied(database: Path) -> int:
    """Count the avatars whose training is done."""
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        (applied,) = connection.execute("SELECT count(*) FROM avatars WHERE status = 'completed'").fetchone()
    return int(applied)


def _owners(avatars: int) -> Iterator[tuple[str, str]]:
    for index in range(avatars // AVATARS_PER_OWNER + 1):
        yield _id(index), str(100_000_000 + index)


def _id(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"
