"""A newcomer's terminal in a clean copy of the project: what one block sets is there for the next."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.project import ROOT, project_files

PATIENCE = 600  # s, for a block; an installation over a slow line, on a machine at work, is the longest
PASSED_ON = ("PIP_", "UV_", "HTTP", "http", "NO_PROXY", "no_proxy", "SSL_CERT", "LANG", "TERM")
PROMPT = b"]: "  # how a question of `aisha-webhook setup` ends
STATE = 'export -p > "$STANDIN_STATE"; pwd > "$STANDIN_STATE.folder"'


def copy_project(folder: Path) -> Path:
    """Copy what is, or would be, in the repository, and nothing else."""
    for path in project_files():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / path, target)
    return folder


def environment(scratch: Path, port: int) -> dict[str, str]:
    """What a login on a fresh machine has, with the stand-ins first in PATH and a port that is free."""
    outer = dict(os.environ)  # noqa: TID251  a test's own surroundings
    here = f"{sys.prefix}/bin"
    path = [part for part in outer["PATH"].split(":") if part and part != here]
    home = Path(outer.get("HOME", "/root"))
    kept = {name: value for name, value in outer.items() if name.startswith(PASSED_ON)}
    return {
        "UV_CACHE_DIR": str(home / ".cache/uv"),
        "PIP_CACHE_DIR": str(home / ".cache/pip"),
        "PIP_NO_COMPILE": "1",  # what is imported is compiled then; ten seconds an installation
        **kept,
        "PATH": ":".join([str(scratch / "standins"), *path]),
        "HOME": str(scratch),
        "API_HOST": "127.0.0.1",
        "API_PORT": str(port),
        "STANDIN_PROJECT": str(scratch / "project"),
        "STANDIN_ROOT": str(scratch / "machine"),
        "STANDIN_CALLS": str(scratch / "calls"),
        "STANDIN_STATE": str(scratch / "state"),
    }


@dataclass
class Shell:
    """One terminal; `environment` grows with what blocks export, such as an environment's PATH; `cd` moves `folder`."""

    folder: Path
    environment: dict[str, str]
    transcript: list[str] = field(default_factory=list)

    def run(self, text: str, first: str = "") -> tuple[int, str]:
        """Run a block, which ends at the first command that fails; return its exit code and all that it said.

        What `first` sets is for this block alone.
        """
        script = f"{self._state()}{first}\n{text}\n{'' if first else STATE}"
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        self.transcript.append(f"$ {text}{done.stdout}[{done.returncode}]")
        stands_in = Path(f"{self.environment['STANDIN_STATE']}.folder")
        if stands_in.exists():
            self.folder = Path(stands_in.read_text().rstrip("\n"))
        return done.returncode, done.stdout

    def answer(self, text: str) -> tuple[int, str]:
        """Run a block that asks, at a terminal of its own, and take every default with Enter."""
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            ["setsid", "--ctty", "bash", "-eo", "pipefail", "-c", f"{self._state()}{text}"],
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        said = b""
        with suppress(OSError):  # what Linux says of a terminal that nobody holds any more
            while part := os.read(ours, 4096):
                said += part
                if said.endswith(PROMPT):
                    os.write(ours, b"\n")
        os.close(ours)
        code = process.wait(PATIENCE)
        self.transcript.append(f"$ {text}{said.decode()}[{code}]")
        return code, said.decode()

    @contextmanager
    def background(self, text: str, said: Path) -> Iterator[None]:
        """Run a block that stays until Ctrl-C; go on when the server answers."""
        with said.open("w") as output:
            process = subprocess.Popen(
                ["bash", "-eo", "pipefail", "-c", f"{self._state()}{text}"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self._wait(process, said)
                yield
            finally:
                os.killpg(process.pid, signal.SIGINT)  # what Ctrl-C does
                process.wait(20)

    def _state(self) -> str:
        state = Path(self.environment["STANDIN_STATE"])
        return f'. "{state}"\n' if state.exists() else ""

    def _wait(self, process: "subprocess.Popen[bytes]", said: Path) -> None:
        ask = ["curl", "-skf", "-m", "5", f"https://127.0.0.1:{self.environment['API_PORT']}/health"]
        end = time.monotonic() + PATIENCE
        while subprocess.run(ask, env=self.environment, capture_output=True, check=False).returncode:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.2)
