"""Let's Encrypt's test server on loopback, its DNS, and certbot as its client."""

import contextlib
import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.serving import short_lived
from tests.ports import free_port

PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"  # noqa: TID251  where tools of the system are
PEBBLE, DNS, CERTBOT = (shutil.which(name, path=PATH) for name in ("pebble", "pebble-challtestsrv", "certbot"))
needs_tools = pytest.mark.skipif(
    None in (PEBBLE, DNS, CERTBOT), reason="needs pebble and certbot: apt-get install pebble certbot"
)
NAME = "hook.aibots.test"
READY_WITHIN = 20.0  # s
ISSUED_WITHIN = 120.0  # s


@dataclass
class Authority:
    """A running pebble, and where the certbot that trusts it keeps its things."""

    folder: Path
    ca: Path
    acme_port: int
    roots_port: int
    challenge_port: int

    @property
    def lineage(self) -> Path:
        return self.folder / "config" / "live" / NAME

    def certbot(self, *words: str) -> None:
        """Run certbot to its end; what it said stands in the assertion when it fails."""
        done = subprocess.run(
            [
                str(CERTBOT),
                *words,
                "--non-interactive",
                f"--server=https://localhost:{self.acme_port}/dir",
                *(f"--{kind}-dir={self.folder / kind}" for kind in ("config", "work", "logs")),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=ISSUED_WITHIN,
            env={"PATH": PATH, "REQUESTS_CA_BUNDLE": str(self.ca)},
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def issue(self, deploy_hook: Path) -> None:
        """Order the first certificate; whatever is renewed later goes through `deploy_hook`, too."""
        self.certbot(
            "certonly",
            "--standalone",
            f"--http-01-port={self.challenge_port}",
            "--http-01-address=127.0.0.1",
            f"--domain={NAME}",
            "--agree-tos",
            "--register-unsafely-without-email",
            f"--deploy-hook={deploy_hook}",
        )

    def renew(self) -> None:
        """Renew at once, as the timer of certbot would in weeks."""
        self.certbot("renew", "--force-renewal", "--no-random-sleep-on-renew")

    def client(self) -> ssl.SSLContext:
        """Return a context that trusts what this authority issues."""
        trusting = ssl.create_default_context(cafile=str(self.ca))
        with urllib.request.urlopen(f"https://localhost:{self.roots_port}/roots/0", context=trusting) as answer:
            return ssl.create_default_context(cadata=answer.read().decode())


@contextlib.contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    """Run pebble, and a DNS that knows every name as this machine."""
    folder.mkdir()
    pair = short_lived(folder)
    acme, roots, challenge, dns, management = (free_port() for _ in range(5))
    config = {
        "listenAddress": f"127.0.0.1:{acme}",
        "managementListenAddress": f"127.0.0.1:{roots}",
        "certificate": str(pair.cert),
        "privateKey": str(pair.key),
        "httpPort": challenge,
        "tlsPort": free_port(),
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    names = [str(DNS), "-defaultIPv6=", "-http01=", "-https01=", "-tlsalpn01=", f"-dns01=127.0.0.1:{dns}"]
    issuer = [str(PEBBLE), f"-config={folder / 'pebble.json'}", f"-dnsserver=127.0.0.1:{dns}"]
    with contextlib.ExitStack() as running, (folder / "output.log").open("wb") as said:
        for command in ([*names, f"-management=127.0.0.1:{management}"], issuer):
            process = running.enter_context(
                subprocess.Popen(
                    command, stdout=said, stderr=said, env={"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
                )
            )
            running.callback(process.kill)
        found = Authority(folder, pair.ca, acme, roots, challenge)
        _wait(found, folder / "output.log")
        yield found


def _wait(found: Authority, said: Path) -> None:
    end = time.monotonic() + READY_WITHIN
    while True:
        try:
            found.client()
        except OSError:
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.1)
        else:
            return
