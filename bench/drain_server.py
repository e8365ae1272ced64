"""Starting what drains: the real server, or its worker alone, on a given database."""

import contextlib
import json
import select
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.drain_books import Books
from bench.processes import Running, started
from bench.starting import Twins
from bench.versions import Version
from tests.ports import free_port

READY_WITHIN = 30  # s
STOP_WITHIN = 30  # s


@dataclass(frozen=True, slots=True)
class Stage:
    """Where processes run, and the twins they speak to."""

    scratch: Path
    twin: Twins
    version: Version

    def server(self, books: Books, *, tls: bool, **more: str) -> AbstractContextManager[Running]:
        """Start run_api_server.py; everything that is not about addresses is the default, unless `more` says so."""
        port = free_port()
        settings = {
            **self._settings(books),
            "API_HOST": "127.0.0.1",
            "API_PORT": str(port),
            "SSL_ENABLED": str(tls).lower(),
            **more,
        }
        command = [self.version.python, str(self.version.root / "run_api_server.py")]
        return started(command, self._folder(), settings, port, tls=tls)

    @contextlib.contextmanager
    def worker(self, books: Books, jobs: str, *, unpaced: bool = False) -> Iterator[int]:
        """Run these jobs of the worker in a process of its own, and yield its pid."""
        folder = self._folder()
        command = [self.version.python, "-m", "bench.drain_worker", jobs, *(["--unpaced"] if unpaced else [])]
        with (folder / "output.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=self._settings(books), stdout=subprocess.PIPE, stderr=log
            )
        try:
            assert process.stdout is not None
            if not select.select([process.stdout], [], [], READY_WITHIN)[0] or process.stdout.readline() != b"ready\n":
                raise TimeoutError((folder / "output.log").read_text(encoding="utf-8", errors="replace")[-2000:])
            yield process.pid
        finally:
            process.terminate()
            process.wait(STOP_WITHIN)

    def telegram_log(self) -> dict[str, Any]:
        """Return every call that the Bot API has seen."""
        with urllib.request.urlopen(f"{self.twin.telegram}/_twin/log", timeout=60) as answer:
            log: dict[str, Any] = json.load(answer)
        return log

    def _settings(self, books: Books) -> dict[str, str]:
        return {
            **self.version.environ(self.scratch),
            "DATABASE_URL": books.url,
            "FAL_JWKS_URLS": f"{self.twin.fal}/.well-known/jwks.json",
            "FAL_API_URL": self.twin.fal,
            "FAL_QUEUE_URL": self.twin.fal,
            "ARTIFACT_CHECK": "off",  # the files of these deliveries lie nowhere
            "TELEGRAM_TOKEN": f"123456789:{'A' * 35}",
            "TELEGRAM_API_URL": self.twin.telegram,
        }

    def _folder(self) -> Path:
        number = sum(1 for _ in self.scratch.glob("run-*"))
        folder = self.scratch / f"run-{number:03d}"
        folder.mkdir()
        return folder
