"""A process that has imported everything, and forks a child for each migration: imports take longer than most of them.

Nothing of the tests is in it: it waits for the disk, and what it says to PostgreSQL is what the command says.
"""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg  # noqa: F401  a migration of PostgreSQL imports it late

from app.db.migrate import ROOT, migrate
from tests.faults.tracing import traced

SERVE = "from tests.faults.forks import serve; serve()"


def serve() -> None:
    """Read two lines from stdin for each child: the database's URL, and that it may begin.

    Answers with its process id, and with its exit code when it has ended.
    """
    with tempfile.TemporaryDirectory() as folder:  # whatever is imported, compiled or read at the first migration
        migrate(f"sqlite:///{folder}/first.db")
    for url in sys.stdin:
        pid = os.fork()
        if pid == 0:
            if sys.stdin.readline():
                migrate(url.strip())
            return
        _answer(pid)
        _answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _answer(number: int) -> None:
    sys.stdout.write(f"{number}\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class Forks:
    """The process at work."""

    process: Process

    async def migrate(self, url: str, *options: str) -> int:
        """Migrate in a child that strace, told `options`, may kill; return its exit code."""
        async with asyncio.timeout(60), traced(await self._say(url), "-f", *options):
            return await self._say("begin")

    async def _say(self, line: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n".encode())  # not an argument: a URL holds a password
        return int(await self.process.stdout.readline())


@asynccontextmanager
async def open_forks() -> AsyncIterator[Forks]:
    """Start it; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVE, env={"PATH": os.defpath, "PYTHONPATH": str(ROOT)}, stdin=PIPE, stdout=PIPE
    )
    try:
        yield Forks(process)
    finally:
        process.kill()
        await process.communicate()
