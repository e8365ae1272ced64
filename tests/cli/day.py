"""A database after one day of two people, and what a command does to it."""

import asyncio
from collections.abc import Callable
from typing import Any

from app.db.engine import open_database
from tests.fakes import START

LATER: dict[str, Any] = {
    "state": "pending",
    "due_at": START,
    "body_sha256": "0" * 64,
    "body": b"{}",
    "headers": "{}",
    "source": "webhook",
    "received_at": START,
    "stored_at": START,
    "last_received_at": START,
}


def change(url: str, work: Callable[[Any], object]) -> None:
    async def run() -> None:
        database = open_database(url)
        await database.write(work)
        await database.close()

    asyncio.run(run())
