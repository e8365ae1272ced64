"""Starting a server in a process of its own, and what /proc tells about it."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

READY_WITHIN = 30.0  # s
STOP_WITHIN = 15.0  # s
LOOK_EVERY = 0.005  # s between two looks whether it is ready
SAMPLE_EVERY = 0.5  # s between two looks at its memory
MIB = 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")


class StartFailed(Exception):
    """A server did not get ready; the message holds the end of what it said."""


@dataclass(slots=True)
class Running:
    """A server that answers on loopback."""

    pid: int
    port: int
    tls: bool
    ready_after: float  # s from the start of the process to the first 200 of /readyz
    rss_peak: int = 0  # bytes, as the kernel keeps it
    pss_peak: int = 0  # bytes, the largest sample

    @property
    def origin(self) -> str:
        """The base of its URLs."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def cpu_seconds(self) -> float:
        """Return the user and system time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def resident(self) -> tuple[int, int]:
        """Return the bytes of RSS and PSS at this moment."""
        status, rollup = Path(f"/proc/{self.pid}/status"), Path(f"/proc/{self.pid}/smaps_rollup")
        return _field(status, "VmRSS"), _field(rollup, "Pss")

    def look_at_memory(self) -> None:
        """Update the peaks; does nothing once the process is gone."""
        with contextlib.suppress(OSError, KeyError):
            self.rss_peak = _field(Path(f"/proc/{self.pid}/status"), "VmHWM")
            self.pss_peak = max(self.pss_peak, _field(Path(f"/proc/{self.pid}/smaps_rollup"), "Pss"))


@contextlib.contextmanager
def started(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], port: int, *, tls: bool
) -> Iterator[Running]:
    """Start a server, wait until /readyz answers 200, and stop it afterwards. Raises StartFailed."""
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "output.log"
    with said.open("ab") as output:
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=folder, env=dict(environ), stdout=output, stderr=output)
    try:
        while not is_ready(port, tls=tls):
            if process.poll() is not None or time.monotonic() - began > READY_WITHIN:
                raise StartFailed(said.read_text(encoding="utf-8", errors="replace")[-2000:])
            time.sleep(LOOK_EVERY)
        server = Running(process.pid, port, tls, time.monotonic() - began)
        with _memory_watched(server):
            yield server
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextlib.contextmanager
def _memory_watched(server: Running) -> Iterator[None]:
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SAMPLE_EVERY):
            server.look_at_memory()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
        server.look_at_memory()


def is_ready(port: int, *, tls: bool) -> bool:
    """Ask /readyz on a loopback port whether the server behind it serves."""
    try:
        with contextlib.closing(_connect(port, tls=tls)) as connection:
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _connect(port: int, *, tls: bool) -> socket.socket:
    plain = socket.create_connection(("127.0.0.1", port), timeout=5)
    return _trusting().wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _field(path: Path, name: str) -> int:
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)
