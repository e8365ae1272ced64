"""The command that sends a delivery again, as a shell runs it."""

import shutil
import subprocess
from pathlib import Path

from app.dashboard.curl import as_curl

FAKE = """#!/usr/bin/env python3
import sys
at = [n for n, one in enumerate(sys.argv) if one.startswith("--data")][0]
way, given = sys.argv[at], sys.argv[at + 1]
reads = way == "--data-binary" and given.startswith("@")
body = sys.stdin.buffer.read() if reads and given == "@-" else open(given[1:], "rb").read() if reads else given.encode()
sys.stdout.buffer.write(body)
"""
BODIES = (
    b'{"status": "OK"}',
    b"@/etc/hostname",  # to curl's --data-binary the name of a file
    b"@-",
    b'it\'s $(id) `id` "quoted"',
    b"line\nend\n",
    b"\x00\xff\xfe",
    b"",
    "Айша".encode(),
    b"--data-raw",
    b"a" * 5000,
)


def test_the_command_sends_the_very_bytes(tmp_path: Path) -> None:
    """Whatever fal signed is sent as it came: no file of the operator's is read, nothing of it is run."""
    for body in BODIES:
        curl = tmp_path / "curl"
        curl.write_text(FAKE)
        curl.chmod(0o755)
        command = as_curl("https://127.0.0.1:8443/", {"x-fal-webhook-user-id": "it's $(id)"}, body)
        path = f"{tmp_path}:{Path(shutil.which('python3') or '').parent}:/usr/bin:/bin"
        done = subprocess.run(["/bin/sh", "-c", command], env={"PATH": path}, capture_output=True, check=True)
        assert done.stdout == body, body
