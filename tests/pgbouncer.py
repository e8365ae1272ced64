"""A real PgBouncer before the tests' PostgreSQL."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.ports import free_port

WITHIN = 10  # s until it answers


@contextmanager
def start_pgbouncer(postgres: str, mode: str, **options: object) -> Iterator[str]:
    """Start one in pool mode `mode` before the server of the URL `postgres`; yield the URL of the same database."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")  # noqa: TID251  where Debian has it
    if found is None:
        pytest.skip("PgBouncer is not installed: apt-get install pgbouncer")
    server = conninfo_to_dict(postgres)
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="aisha-pgbouncer-") as name:
        folder = Path(name)
        (folder / "users.txt").write_text(f'"{server.get("user", "postgres")}" ""\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "trust",
            "auth_file": folder / "users.txt",
            "pool_mode": mode,
            "logfile": folder / "log",
            **options,
        }
        target = " ".join(f"{key}={server[key]}" for key in ("host", "port") if key in server)
        lines = ["[databases]", f"* = {target}", "[pgbouncer]", *(f"{key} = {settings[key]}" for key in settings)]
        (folder / "pgbouncer.ini").write_text("\n".join(lines))
        folder.chmod(0o777)
        process = subprocess.Popen([found, "-q", str(folder / "pgbouncer.ini")], user=_account(str(server.get("host"))))
        try:
            _wait(port)
            yield f"postgresql://{server.get('user', 'postgres')}@127.0.0.1:{port}/{server['dbname']}"
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()


def _account(host: str) -> str | int | None:
    """It refuses to be root, and the folder of PostgreSQL's socket is closed to strangers."""
    if os.geteuid() != 0:
        return None
    return Path(host).stat().st_uid if host.startswith("/") else "nobody"


def _wait(port: int) -> None:
    end = time.monotonic() + WITHIN
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return
