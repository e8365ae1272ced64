"""What every fault test stands on: a server that can be killed and started again, and what was sent to it."""

import asyncio
import inspect
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.sender import FalDelivery, FalSender
from app.twins.signing import ACCOUNT
from tests import canaries
from tests.factories import NEW_AVATAR
from tests.ports import free_port
from tests.process.conftest import READY_WITHIN, ROOT, TOKEN, Outside
from tests.process.invariants import Evidence, Figures, check, rows, watch

FULL = os.environ.get("FAULTS") == "full"  # noqa: TID251  a setting of the tests, not of the server
full_only = pytest.mark.skipif(not FULL, reason="long: make faults")

MKFS = shutil.which("mkfs.ext4", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")  # noqa: TID251  tools of the system


def _may_mount() -> bool:
    """Try it: root in a container often may not."""
    if os.geteuid() != 0 or MKFS is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        if subprocess.run(["mount", "-t", "tmpfs", "none", folder], check=False, capture_output=True).returncode:
            return False
        subprocess.run(["umount", "-l", folder], check=True)
    return True


root_only = pytest.mark.skipif(not _may_mount(), reason="needs root that may mount, and mkfs.ext4")
SEED = int(os.environ.get("FAULTS_SEED", "20260722"))  # noqa: TID251  as above
ANSWER_WITHIN = 10.0  # s (I5)
SECRETS = (TOKEN, canaries.FAL_SECRET, canaries.DATABASE_PASSWORD)


def many(full: int, bounded: int) -> int:
    """Choose how often: `full` under `make faults`, `bounded` under `make test`."""
    return full if FULL else bounded


def dice(name: str) -> random.Random:
    """Return the chance of one test, and say how to repeat it."""
    sys.stdout.write(f"\n[{name}] FAULTS_SEED={SEED}\n")
    return random.Random(f"{SEED} {name}")


def tell(name: str, **figures: Any) -> None:
    """Print the figures that a test found."""
    sys.stdout.write(f"[{name}] " + " ".join(f"{key}={value}" for key, value in figures.items()) + "\n")


def interpreter(root: Path) -> str:
    """The Python that a version runs on: this one, or that of the version's own environment."""
    return sys.executable if root == ROOT else str(root / ".venv" / "bin" / "python")


@dataclass
class Server:
    """One running server process; `stderr` is kept for the look after secrets."""

    process: asyncio.subprocess.Process
    drain: "asyncio.Task[None]"

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ended(self, within: float = 15.0) -> int:
        """Wait for the exit code."""
        async with asyncio.timeout(within):
            await self.drain
            return await self.process.wait()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                self.process.send_signal(number)
        return await self.ended()


@dataclass
class Rig:
    """A database, the outside, and servers on one port."""

    folder: Path
    database_url: str
    outside: Outside
    port: int = field(default_factory=free_port)
    records: list[FalDelivery] = field(default_factory=list)
    crashes: int = 0
    settings: dict[str, str] = field(default_factory=dict)
    root: Path = ROOT  # of the version that is started
    servers: list[Server] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *prefix: str, port: int | None = None, **changes: str) -> Server:
        """Start a server and wait until it takes connections. `prefix` is a command that starts it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.defpath,
            "PYTHONPATH": str(self.root),
            **self.outside.environment(self.database_url),
            "API_PORT": str(port or self.port),
            "SSL_ENABLED": "false",
            "FAL_API_KEY": f"canary:{SECRETS[1]}",
            "LEASE_SECONDS": "15",
            **self.settings,
            **changes,
        }
        with (self.folder / "stderr.log").open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *prefix,
                interpreter(self.root),
                str(self.root / "run_api_server.py"),
                cwd=self.folder,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        assert process.stdout is not None
        async with asyncio.timeout(READY_WITHIN):
            while b"on this machine" not in (line := await process.stdout.readline()):
                assert line, f"the server ended: {await process.wait()}\n{self._last_words()}"
        server = Server(process, asyncio.create_task(_drain(process.stdout)))
        self.servers.append(server)
        return server

    def _last_words(self) -> str:
        return (self.folder / "stderr.log").read_text()[-3000:]

    async def close(self) -> None:
        """End whatever still runs."""
        for server in self.servers:
            if server.process.returncode is None:
                with suppress(ProcessLookupError):
                    server.process.send_signal(signal.SIGCONT)
                try:
                    await server.stop()
                except TimeoutError:
                    await server.stop(signal.SIGKILL)

    @asynccontextmanager
    async def sender(
        self, *, speed: float = 1.0, connections: int = 100, port: int | None = None
    ) -> AsyncIterator[FalSender]:
        """fal, which gives us the 10 s that are promised and not its own 15."""
        async with FalSender(
            f"http://127.0.0.1:{port or self.port}{PATH}",
            self.outside.fal.key,
            user_id=ACCOUNT,
            speed=speed,
            connections=connections,
            first_timeout=ANSWER_WITHIN,
            retry_timeout=ANSWER_WITHIN,
        ) as fal:
            try:
                yield fal
            finally:
                self.records += fal.log

    def evidence(self, **changes: Any) -> Evidence:
        logs = [path for path in self.folder.rglob("*.log*") if path.is_file()]
        values: dict[str, Any] = {
            "database_url": self.database_url,
            "records": self.records,
            "messages": self.outside.telegram.messages,
            "logs": logs,
            "secrets": SECRETS,
            "crashes": self.crashes,
        }
        return Evidence(**{**values, **changes})

    def check(self, **changes: Any) -> Figures:
        return check(self.evidence(**changes))

    def rows(self, statement: str) -> list[dict[str, Any]]:
        return rows(self.database_url, statement)

    def count(self, table: str, where: str = "true") -> int:
        return int(self.rows(f"SELECT count(*) AS n FROM {table} WHERE {where}")[0]["n"])

    def train(self, request_ids: Sequence[str]) -> None:
        """Make an owner and an avatar in training for each request id, each with a chat of its own."""
        first = self.count("avatars")
        people = [(str(uuid.uuid4()), str(1000 + first + number)) for number in range(len(request_ids))]
        avatars = [
            (str(uuid.uuid4()), owner, "Айша", "portrait", "training", request_id)
            for (owner, _), request_id in zip(people, request_ids, strict=True)
        ]
        users = "INSERT INTO users (id, telegram_id) VALUES (?, ?)"
        if self.database_url.startswith("sqlite"):
            with closing(sqlite3.connect(self.sqlite_path, timeout=30)) as connection, connection:
                connection.executemany(users, people)
                connection.executemany(NEW_AVATAR, avatars)
            return
        with psycopg.connect(self.database_url) as postgres, postgres.cursor() as cursor:
            cursor.executemany(users.replace("?", "%s"), people)
            cursor.executemany(NEW_AVATAR.replace("?", "%s"), avatars)

    @property
    def sqlite_path(self) -> Path:
        return Path(self.database_url.removeprefix("sqlite:///"))

    def watch(self) -> None:
        watch(self.database_url)

    def end_leases(self) -> None:
        """Do what time does: whatever a killed process had claimed is due again."""
        statements = [
            f"UPDATE {table} SET due_at = due_at - interval '1 minute' WHERE state = 'pending'"
            for table in ("webhook_deliveries", "webhook_notifications")
        ]
        if self.database_url.startswith("sqlite"):
            with closing(sqlite3.connect(self.sqlite_path, timeout=30)) as connection, connection:
                for table in ("webhook_deliveries", "webhook_notifications"):
                    connection.execute(
                        f"UPDATE {table} SET due_at = strftime('%Y-%m-%d %H:%M:%f000', due_at, '-1 minute') "
                        "WHERE state = 'pending'"
                    )
            return
        with psycopg.connect(self.database_url) as postgres:
            for statement in statements:
                postgres.execute(statement)

    async def settled(self, within: float = 60.0) -> float:
        """Wait until nothing is pending; return how long that took."""
        return await until(
            lambda: (
                not self.count("webhook_deliveries", "state = 'pending'")
                and not self.count("webhook_notifications", "state = 'pending'")
            ),
            within,
        )

    async def ready(self, *, within: float, wanted: int = 200, port: int | None = None) -> float:
        """Wait until /readyz answers `wanted`; return how long that took."""

        async def asked() -> bool:
            return (await get(f"http://127.0.0.1:{port or self.port}/readyz"))[0] == wanted

        return await until(asked, within)


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.readline():
        pass


async def until(holds: Callable[[], bool | Awaitable[bool]], within: float, every: float = 0.1) -> float:
    """Wait until `holds`; return the seconds it took. Raises TimeoutError after `within`."""
    begun = time.monotonic()
    while True:
        # The twins live in this loop: a look at a locked database must not hold them up.
        answer = await holds() if inspect.iscoroutinefunction(holds) else await asyncio.to_thread(holds)
        if answer:
            return time.monotonic() - begun
        if time.monotonic() - begun > within:
            raise TimeoutError(f"not within {within:g} s")
        await asyncio.sleep(every)


async def get(url: str, timeout: float = 15.0) -> tuple[int, dict[str, Any], float]:  # noqa: ASYNC109  a bound on the socket
    """GET on a connection of its own: status (0: none), JSON and the seconds it took."""

    def ask() -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(url, timeout=timeout) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"{}")
        except OSError:
            return 0, {}

    begun = time.monotonic()
    status, body = await asyncio.to_thread(ask)
    return status, body, time.monotonic() - begun


def job(number: int) -> tuple[str, bytes]:
    """Job `number` and its body."""
    request_id = bodies.job_id(number)
    return request_id, bodies.success(request_id)
