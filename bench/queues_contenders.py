"""What every queue under comparison must do, and where the jobs' time stamps go."""

import importlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

from app.flows.apply import BATCH

JobBody = Callable[[str], Awaitable[None]]

LEASE = 15  # s; everybody's patience with a worker that says nothing, where it can be set
DBOS_POLL = 0.1  # s; its default is 1


class Contender(Protocol):
    """One queue on one database, in one process."""

    async def install(self, url: str) -> None:
        """Make its tables."""
        ...

    async def open(self, url: str, executor: str, body: JobBody) -> None:
        """Get ready to enqueue and to work."""
        ...

    async def enqueue(self, key: str) -> None:
        """Return once the job is durable."""
        ...

    async def work(self) -> None:
        """Run jobs until cancelled."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class Design:
    """One column of the comparison."""

    name: str
    module: str
    package: str | None  # None: ours
    engine: str
    setup: str  # what is configured, in words
    rescue: str  # who picks up a dead worker's job, by its own documentation

    def is_there(self) -> bool:
        """Whether this interpreter can run it."""
        try:
            return self.package is None or bool(version(self.package))
        except PackageNotFoundError:
            return False

    def version(self) -> str:
        """Name the version of the package."""
        return "this tree" if self.package is None else version(self.package)

    def make(self) -> Contender:
        """Import and build it: rivals are no dependencies of this project."""
        contender: Contender = importlib.import_module(self.module).make()
        return contender


OURS_RESCUE = f"any worker, when the lease ends (LEASE_SECONDS={LEASE}, default 60)"
DBOS_RESCUE = "the same executor id when it starts again; another executor only when told (Conductor, or by hand)"
OURS_SETUP = f"group commit, batches of {BATCH}, woken in the process or by NOTIFY, poll 1 s"
DBOS_SETUP = f"polls every {DBOS_POLL} s (default 1), no concurrency limit, DBOSClient to enqueue"

DESIGNS = (
    Design("ours", "bench.queues_ours", None, "SQLite", OURS_SETUP, OURS_RESCUE),
    Design("ours", "bench.queues_ours", None, "PostgreSQL", OURS_SETUP, OURS_RESCUE),
    Design("DBOS", "bench.queues_dbos", "dbos", "SQLite", DBOS_SETUP, DBOS_RESCUE),
    Design("DBOS", "bench.queues_dbos", "dbos", "PostgreSQL", DBOS_SETUP, DBOS_RESCUE),
    Design(
        "procrastinate",
        "bench.queues_procrastinate",
        "procrastinate",
        "PostgreSQL",
        "LISTEN, concurrency 64, pool of 10, poll 5 s (default)",
        f"nobody by itself; the documented periodic task retry_stalled_jobs, here every 5 s for {LEASE} s of silence",
    ),
    Design(
        "PgQueuer",
        "bench.queues_pgqueuer",
        "pgqueuer",
        "PostgreSQL",
        "LISTEN, batches of 100, poll 5 s (default 30), asyncpg pool of 10 to enqueue",
        f"any worker, after heartbeat_timeout={LEASE} s of silence (default 30)",
    ),
)


class Marks:
    """A file with a line per job that began: the moment and the job's key."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="ascii", buffering=1)

    def add(self, key: str) -> None:
        """Note that a job begins now."""
        self._file.write(f"{time.time():.6f} {key}\n")


def read_marks(path: Path) -> list[tuple[float, str]]:
    """Return what has been noted so far."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="ascii").splitlines()
    return [(float(at), key) for at, _, key in (line.partition(" ") for line in lines)]


def library(name: str) -> Any:
    """Import a rival's module, untyped on purpose."""
    return importlib.import_module(name)
