"""strace on a server that is already running, so that its start does not count."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
STORE = "pwrite64,pwritev,fdatasync,fsync,ftruncate"  # what SQLite changes its files with
SPEAK = "write,writev,sendto,sendmsg"  # answers, log lines, Telegram
ASK = "sendto,recvfrom"  # every word to PostgreSQL and from it, COMMIT and its answer among them


@asynccontextmanager
async def traced(pid: int, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run strace on `pid` while the block lasts; it has taken hold when the block begins."""
    strace = await asyncio.create_subprocess_exec(
        "strace",
        "-p",
        str(pid),
        *options,
        "-o",
        "/dev/null",
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert strace.stderr is not None
    async with asyncio.timeout(10):
        while b"attached" not in (line := await strace.stderr.readline()):
            assert line, f"strace did not take hold of {pid}"
    try:
        yield strace
    finally:
        with suppress(ProcessLookupError):
            strace.terminate()
        async with asyncio.timeout(10):
            await strace.communicate()
