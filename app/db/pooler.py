"""What a pooler between us and PostgreSQL does with sessions."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from app.db.session import connect_options

if TYPE_CHECKING:  # SQLite need not pay for it: a fifth of a second, five MiB
    import psycopg

LOOKS = 5  # at two connections before they are taken for two sessions
PATIENCE = 3.0  # s for the second one: a pool of one session never gives it


async def connect_loose(database_url: str, application_name: str) -> "psycopg.AsyncConnection":
    """Connect without a setting of ours, each statement by itself, nothing prepared."""
    import psycopg  # noqa: PLC0415  SQLite need not pay for it: a fifth of a second, five MiB

    options = connect_options(database_url, application_name)
    return await psycopg.AsyncConnection.connect(autocommit=True, prepare_threshold=None, **options)


async def is_shared(
    connection: "psycopg.AsyncConnection", connect: "Callable[[], Awaitable[psycopg.AsyncConnection]]"
) -> bool:
    """Tell whether a pooler gives the session of this idle connection to others, as in PgBouncer's transaction mode.

    Such a session gets no announcements, and what is set on it stays for the bot. Nothing is left on it here: a second
    connection holds a session in a transaction, and either that one is the first connection's, or the first one is
    somewhere else afterwards. Raises psycopg.Error.
    """
    first = await _session(connection)
    if first == connection.info.backend_pid:
        return False  # PostgreSQL itself
    try:
        async with asyncio.timeout(PATIENCE):
            for _ in range(LOOKS):
                async with await connect() as other:
                    await other.execute("BEGIN")
                    if await _session(other) == first or await _session(connection) != first:
                        return True
    except TimeoutError:
        pass  # nothing is left for a second one, so the first one keeps its own
    return False


async def _session(connection: "psycopg.AsyncConnection") -> int:
    """Return the number of the process that answers."""
    cursor = await connection.execute("SELECT pg_backend_pid()")
    row = await cursor.fetchone()
    return 0 if row is None else int(row[0])
