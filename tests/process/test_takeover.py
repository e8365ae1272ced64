"""A second instance takes the socket over, and nobody is refused meanwhile."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import pytest

from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from tests.process.conftest import READY_WITHIN, ROOT, Outside

pytestmark = pytest.mark.anyio

HAND_OVER = 'exec 3<&"$0"; export LISTEN_PID=$$; exec "$@"'  # systemd names the process that the socket is for


async def start(folder: Path, environment: dict[str, str], listening: socket.socket) -> asyncio.subprocess.Process:
    """Start a server on a socket that is open already, as systemd does it: as descriptor 3."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        HAND_OVER,
        str(listening.fileno()),
        sys.executable,
        str(ROOT / "run_api_server.py"),
        cwd=folder,
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), "LISTEN_FDS": "1", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        pass_fds=(listening.fileno(),),
    )
    assert process.stdout is not None
    async with asyncio.timeout(READY_WITHIN):
        while b"SHA-256" not in await process.stdout.readline():
            assert process.returncode is None
    return process


async def test_a_second_instance_takes_over_without_a_refused_request(
    sqlite_url: str, outside: Outside, tmp_path: Path
) -> None:
    """Under load the old one leaves and the new one goes on: every delivery is answered at its first try (fault 51)."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        target = f"https://127.0.0.1:{listening.getsockname()[1]}{PATH}"
        environment = outside.environment(sqlite_url)
        old = await start(tmp_path, environment, listening)
        new: asyncio.subprocess.Process | None = None
        statuses: list[int | None] = []
        leave = asyncio.Event()

        async def load(number: int) -> None:
            while not leave.is_set():
                job = bodies.job_id(number * 10_000 + len(statuses))
                # A connection of its own for each: what is asked is whether somebody takes it.
                async with FalSender(target, outside.fal.key, user_id=ACCOUNT, verify_tls=False) as fal:
                    statuses.append((await fal.post(job, bodies.success(job))).status)

        clients = [asyncio.create_task(load(number)) for number in range(4)]
        try:
            new = await start(tmp_path, environment, listening)
            old.terminate()
            assert await asyncio.wait_for(old.wait(), 15) == 0
            after = len(statuses)
            async with asyncio.timeout(30):
                while len(statuses) < after + 20:
                    await asyncio.wait(clients, timeout=0.05)
        finally:
            leave.set()
            await asyncio.gather(*clients)
            for process in (old, new):
                if process is not None and process.returncode is None:
                    process.terminate()
                    await process.wait()
        assert set(statuses) == {200}
