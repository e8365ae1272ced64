"""Starting what is measured: the twins, our server, and the baselines."""

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.core.setting_sources import environment
from app.twins.signing import FalKey, load_or_create_keys
from bench.designs import Kind
from bench.processes import Running, started
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
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
        process = subprocess.Popen(command, cwd=ROOT, env=environ(folder), stdout=subprocess.PIPE, stderr=log)
    try:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], TWINS_WITHIN)[0]:
            raise TimeoutError("the twins did not start")
        ready = json.loads(process.stdout.readline())
        yield Twins(ready["fal"], ready["telegram"], key)
    finally:
        process.terminate()
        process.wait(10)


def environ(scratch: Path) -> dict[str, str]:
    """Return a bare environment whose .pyc files are written, and warm from the second start on."""
    kept = {name: environment()[name] for name in ("PATH", "HOME", "LANG") if name in environment()}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(scratch / "pycache")}


def start_ours(
    scratch: Path, folder: Path, twin: Twins, *, tls: bool, with_telegram: bool = True
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
    }
    if with_telegram:
        settings |= {"TELEGRAM_TOKEN": f"123456789:{'A' * 35}", "TELEGRAM_API_URL": twin.telegram}
    command = [sys.executable, str(ROOT / "run_api_server.py")]
    return started(command, folder, {**environ(scratch), **settings}, port, tls=tls)


def start_baseline(
    scratch: Path, folder: Path, kind: Kind, pair: tuple[Path, Path] | None, more: Mapping[str, str]
) -> AbstractContextManager[Running]:
    """Start bench.echo or bench.plain; `pair` is the certificate and key for TLS."""
    port = free_port()
    command = [sys.executable, "-m", f"bench.{kind}", str(port), *map(str, pair or ())]
    return started(command, folder, {**environ(scratch), **more}, port, tls=pair is not None)
