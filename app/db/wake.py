"""Waking each other between processes on PostgreSQL. A lost wake-up costs a poll interval, never a row."""

import asyncio
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import partial

import structlog
from sqlalchemy import text
from sqlalchemy.engine import Connection

from app.db.pooler import connect_loose, is_shared

log = structlog.get_logger(__name__)

CHANNEL = "aisha_webhook"
PAUSE = 1.0  # s before listening is tried again
QUIET = 60.0  # s between two looks at a socket that reports nothing


class WakeTopic(StrEnum):
    """The queue that has work."""

    INBOX = "inbox"
    OUTBOX = "outbox"


def announce(connection: Connection, topic: WakeTopic) -> None:
    """Tell the other processes when this transaction commits; SQLite has no others."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, :topic)"), {"channel": CHANNEL, "topic": topic})


async def listen(database_url: str, wake: Mapping[WakeTopic, Callable[[], None]]) -> None:
    """Call `wake[topic]` for every announcement until cancelled; reconnects by itself.

    Returns where a pooler would not pass announcements on: what is due is found by looking then.
    """
    import psycopg  # noqa: PLC0415  SQLite need not pay for it: a fifth of a second, five MiB

    while True:
        try:
            async with await connect_loose(database_url, "aisha-webhook listen") as connection:
                if await is_shared(connection, lambda: connect_loose(database_url, "aisha-webhook listen")):
                    log.warning("wake.polling")
                    return
                await connection.execute(f"LISTEN {CHANNEL}")
                for call in wake.values():  # what was announced while nobody listened
                    call()
                # psycopg looks up ten times a second, for a Ctrl-C that asyncio delivers by itself. That was half of
                # what a server did at rest.
                connection.wait = partial(connection.wait, interval=QUIET)  # type: ignore[method-assign]
                async for notice in connection.notifies():
                    if notice.payload in wake:
                        wake[WakeTopic(notice.payload)]()
        except (psycopg.Error, OSError) as error:
            log.warning("wake.listening_failed", cause=type(error).__name__)
        await asyncio.sleep(PAUSE)
