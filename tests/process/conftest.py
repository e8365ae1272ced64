"""The real server as its own process, real TLS, twins on loopback."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.twins.fal import FalTwin
from app.twins.signing import ACCOUNT
from app.twins.telegram import TelegramTwin
from tests import canaries

ROOT = Path(__file__).parents[2]
READY_WITHIN = 30  # s
TOKEN = canaries.TELEGRAM_TOKEN


@dataclass
class ServerProcess:
    """One running server."""

    url: str
    folder: Path
    process: asyncio.subprocess.Process
    greeting: list[str]

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(15):
            return await self.process.wait()

    def log(self, name: str = "webhook.log") -> str:
        return (self.folder / "logs" / name).read_text()


@dataclass
class Outside:
    """fal and Telegram, as far as the server can tell."""

    fal: FalTwin
    fal_url: str
    telegram: TelegramTwin
    telegram_url: str

    def environment(self, database_url: str) -> dict[str, str]:
        return {
            "API_HOST": "127.0.0.1",
            "API_PORT": "0",
            "DATABASE_URL": database_url,
            "FAL_JWKS_URLS": f"{self.fal_url}/.well-known/jwks.json",
            "FAL_QUEUE_URL": self.fal_url,
            "FAL_STORAGE_URL": self.fal_url,
            "FAL_API_URL": self.fal_url,
            "FAL_USER_ID": ACCOUNT,
            "FAL_API_KEY": f"key-id:{canaries.FAL_SECRET}",
            "TELEGRAM_TOKEN": TOKEN,
            "TELEGRAM_API_URL": self.telegram_url,
            "TELEGRAM_RATE": "1000",
            "ARTIFACT_CHECK": "off",  # fal's CDN is not reached from here; what looks at it turns this on
            "DEFAULT_LANGUAGE": "en",
            **canaries.environment(),
        }


StartServer = Callable[..., AbstractAsyncContextManager[ServerProcess]]


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    fal, telegram = FalTwin(), TelegramTwin()
    async with fal.serve() as fal_url, telegram.serve() as telegram_url:
        yield Outside(fal, fal_url, telegram, telegram_url)


@pytest.fixture
def start_server(outside: Outside, tmp_path: Path) -> StartServer:
    @asynccontextmanager
    async def start(database_url: str, cdn_url: str | None = None, **changes: str) -> AsyncIterator[ServerProcess]:
        folder = tmp_path / "server"
        folder.mkdir(exist_ok=True)
        server = await launch(folder, {**outside.environment(database_url), **changes}, cdn_url)
        try:
            yield server
        finally:
            await server.stop()

    return start


async def launch(folder: Path, environment: dict[str, str], cdn_url: str | None = None) -> ServerProcess:
    """Start the server in `folder`, led to a CDN's twin if there is one; wait until it says where it listens."""
    command = [str(ROOT / "run_api_server.py")] if cdn_url is None else ["-m", "app.cli.demo.server", cdn_url]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}  # noqa: TID251  for the child
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    greeting: list[str] = []
    async with asyncio.timeout(READY_WITHIN):
        while not greeting or "SHA-256" not in greeting[-1]:
            line = (await process.stdout.readline()).decode()
            assert line, f"the server ended: {await process.wait()}"
            greeting.append(line.strip())
    local = next(line for line in greeting if "on this machine" in line)
    return ServerProcess(local.partition(": ")[2], folder, process, greeting)
