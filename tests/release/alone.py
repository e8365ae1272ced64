"""The installed command in an empty folder, with nothing of the project beside it: it runs, and is tried."""

import json
import os
import signal
import ssl
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.ports import free_port

PATIENCE = 60  # s, until the server answers
NOBODY = "http://127.0.0.1:9"  # in fal's and Telegram's place


def run_and_try(command: Path, folder: Path) -> list[str]:
    """Start the server in `folder`, try it, stop it; return what lies in the folder then, in order.

    Raises AssertionError when it does not answer, a step of `try` fails, or it does not end with 0.
    """
    port = str(free_port())
    environment = {
        "PATH": os.defpath,
        "HOME": "/nonexistent",
        "API_HOST": "127.0.0.1",
        "API_PORT": port,
        "FAL_JWKS_URLS": f"{NOBODY}/jwks.json",
        "FAL_API_URL": NOBODY,
    }
    server = subprocess.Popen([command, "serve"], cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait(server, f"https://127.0.0.1:{port}/health")
        done = subprocess.run(
            [command, "try", "--json"], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert json.loads(done.stdout)
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(20)
    assert code == 0
    return sorted(path.name for path in folder.iterdir())


def _wait(server: "subprocess.Popen[bytes]", url: str) -> None:
    unseen = ssl.create_default_context()
    unseen.check_hostname, unseen.verify_mode = False, ssl.CERT_NONE
    end = time.monotonic() + PATIENCE
    while True:
        assert server.poll() is None, "the server ended"
        assert time.monotonic() < end, "the server does not answer"
        try:
            with urllib.request.urlopen(url, context=unseen, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
