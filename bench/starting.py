"""Starting what is measured: the twins, our server in any version, and the baselines."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.twins.signing import FalKey, load_or_create_keys
from bench.designs import Kind
from bench.processes import Running, started
from bench.versions import OURS, Version
from tests.ports import free_port

TWINS_WITHIN = 20  # s


@dataclass(frozen=True, slots=True)
class Twins:
    """The local fal and Telegram."""

    fal: str
    telegram: str
    key: FalKey


@contextmanager
def twins(folder: Path) -> Iterator[Twins]:
    """Run the twins in a process of their own, so that they cost the measured server nothing but its share."""
    seeds = folder / "twin-keys"
    key = load_or_create_keys(seeds)[0]
    command = [sys.executable, "-m", "app.twins", "--keys", str(seeds)]
    with (folder / "twins.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=OURS.root, env=OURS.environ(folder), stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], TWINS_WITHIN)[0]:
            raise TimeoutError("the twins did not start")
        ready = json.loads(process.stdout.readline())
        yield Twins(ready["fal"], ready["telegram"], key)
    finally:
        process.terminate()
        process.wait(10)


def slow_fsync(milliseconds: int) -> list[str]:
    """Return what to put before a command so that its every fsync and fdatasync takes that much longer.

    The filter in the kernel (seccomp) stops the process at these two calls only, so that every other call costs what
    it always does; with -D the process stays our own child, and its CPU time is its own.
    """
    calls = "fdatasync,fsync"
    inject = f"inject={calls}:delay_exit={milliseconds * 1000}"
    return ["strace", "-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", f"trace={calls}", "-e", inject]


def start_server(
    version: Version,
    scratch: Path,
    folder: Path,
    twin: Twins,
    *,
    tls: bool,
    prefix: Sequence[str] = (),
    more: Mapping[str, str] | None = None,
) -> AbstractContextManager[Running]:
    """Start run_api_server.py in `folder`; data/aisha.db is used where it is there. Everything else is the default."""
    port = free_port()
    settings = {
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "SSL_ENABLED": str(tls).lower(),
        "FAL_JWKS_URLS": f"{twin.fal}/.well-known/jwks.json",
        "FAL_API_URL": twin.fal,
        "FAL_QUEUE_URL": twin.fal,
        "ARTIFACT_CHECK": "off",  # the files of these deliveries lie nowhere
        "TELEGRAM_TOKEN": f"123456789:{'A' * 35}",
        "TELEGRAM_API_URL": twin.telegram,
        **(more or {}),
    }
    command = [*prefix, version.python, str(version.root / "run_api_server.py")]
    return started(command, folder, {**version.environ(scratch), **settings}, port, tls=tls)


def start_baseline(
    scratch: Path, folder: Path, kind: Kind, pair: tuple[Path, Path] | None, more: Mapping[str, str]
) -> AbstractContextManager[Running]:
    """Start bench.echo or bench.plain; `pair` is the certificate and key for TLS."""
    port = free_port()
    command = [sys.executable, "-m", f"bench.{kind}", str(port), *map(str, pair or ())]
    return started(command, folder, {**OURS.environ(scratch), **more}, port, tls=pair is not None)
