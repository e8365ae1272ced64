"""The real server as a program of its own, the way a user starts it: `python -m app.main` with its own settings."""

import asyncio
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from app.core.setting_sources import environment

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 15.0
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
ADDRESS = re.compile(r"https://127\.0\.0\.1:\d+")


class NotStarted(Exception):
    """The server is not there: it left with `exit_code`, or was not ready in time (None)."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class Program:
    """A running server. `url` is where it listens, `last_lines` what it said last."""

    def __init__(self, child: asyncio.subprocess.Process, console: Path, last_lines: deque[str]) -> None:
        self.url = ""
        self.last_lines = last_lines
        self._child = child
        self._console = console
        self._greeted = asyncio.Event()

    @property
    def exit_code(self) -> int | None:
        """Return None while it runs."""
        return self._child.returncode

    async def listen(self) -> None:
        """Read what it prints until it ends: an unread pipe would fill up and stop it."""
        assert self._child.stdout is not None
        with self._console.open("wb", buffering=0) as console:
            async for line in self._child.stdout:
                console.write(line)
                text = line.decode(errors="replace").rstrip()
                self.last_lines.append(text)
                if not self.url and (address := ADDRESS.search(text)):
                    self.url = address[0]
                    self._greeted.set()
        self._greeted.set()  # it is gone; whoever waits finds no URL

    async def ready(self) -> None:
        """Wait until it takes connections, which it says with its URL. Raises NotStarted."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._greeted.wait()
                if not self.url:
                    raise NotStarted(await self._child.wait())
        except TimeoutError:
            raise NotStarted(None) from None

    async def stop(self, give_up: float) -> None:
        """Ask it to leave; kill it when it has not by `give_up` (the loop's time)."""
        if self.exit_code is None:
            self._child.terminate()
        try:
            async with asyncio.timeout_at(give_up):
                await self._child.wait()
        except TimeoutError:
            self._child.kill()
            await self._child.wait()


@asynccontextmanager
async def running(
    folder: Path, settings: Mapping[str, str], last_lines: deque[str], give_up: float
) -> AsyncIterator[Program]:
    """Run the server in `folder`, where no .env lies, with these settings and none of the user's.

    `last_lines` gets what it says, also when it never becomes ready; `give_up` is when (in the loop's time) a server
    that does not leave is killed. Raises NotStarted.
    """
    inherited = {name: value for name, value in environment().items() if name in INHERITED}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.main",
        cwd=folder,
        # It finds what this very program finds, wherever that was installed.
        env={**inherited, **settings, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONUTF8": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 20,
    )
    program = Program(child, folder / "console.log", last_lines)
    listening = asyncio.create_task(program.listen(), name="console")
    try:
        await program.ready()
        yield program
    finally:
        await program.stop(give_up)
        await listening
