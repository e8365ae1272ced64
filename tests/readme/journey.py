"""The whole way of a newcomer down the pages: every block, in order, as its mark says."""

import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port
from tests.readme.blocks import Block
from tests.readme.shell import Shell, copy_project, environment
from tests.readme.standins import put_up

NOT_RUN = "runs: elsewhere"
MARKS = {
    "",
    NOT_RUN,
    "runs: in the background",
    "runs: with a certificate in place",
    "runs: after a delivery",
    "needs: root",
    "needs: docker",
    "needs: postgresql",
    "needs: a fal account",
    "needs: the domain",
    "needs: the internet",
    "needs: the service",
    "needs: answers",
}  # what may stand in a comment before a block
INSTALLED = "/opt/aisha-backend"  # what the pages call the folder
NOW = "2026-11-22 12:00:00.000000"
ROWS: dict[str, dict[str, str | int | bytes]] = {
    "webhook_deliveries": {
        "request_id": "REQUEST_ID",
        "body_sha256": "0" * 64,
        "body": b'{"request_id":"REQUEST_ID","status":"ERROR","payload":null,"error":"no face"}',
        "headers": '{"x-fal-webhook-user-id":"github|1234567"}',
        "source": "webhook",
        "received_at": NOW,
        "stored_at": NOW,
        "last_received_at": NOW,
        "state": "dead",
        "reason": "orphan",
        "due_at": NOW,
    },
    "webhook_notifications": {
        "delivery_id": 1,
        "avatar_id": "00000000-0000-0000-0000-000000000001",
        "request_id": "REQUEST_ID",
        "kind": "failed",
        "avatar_name": "Aisha",
        "owner_id": "00000000-0000-0000-0000-000000000002",
        "chat_id": 1,
        "language": "en",
        "received_at": NOW,
        "stored_at": NOW,
        "applied_at": NOW,
        "state": "dead",
        "reason": "telegram_down",
        "due_at": NOW,
    },
}  # fal's side of the story: one delivery that needs the operator, and one message


@dataclass(frozen=True, slots=True)
class Step:
    """What became of a block."""

    block: Block
    code: int
    output: str


class Journey:
    """A terminal in an empty folder, clean copies for what is cloned, and the server that runs between blocks."""

    def __init__(self, scratch: Path, postgres_url: str) -> None:
        self.scratch, self.postgres_url = scratch, postgres_url
        self.port = free_port()
        put_up(scratch / "standins")
        self.environment = environment(scratch, self.port)
        self.calls = scratch / "calls"
        self.calls.touch()
        copy_project(Path(self.environment["STANDIN_PROJECT"]))
        self.shell = Shell(scratch, self.environment)
        self.installations = 0
        self.server = ExitStack()
        self.server_text = ""
        self.said: list[Path] = []

    @property
    def greetings(self) -> list[str]:
        """What each server has said, in order; the greeting may come later than the first answer."""
        return [path.read_text() for path in self.said]

    def play(self, blocks: list[Block]) -> list[Step]:
        """Run every block; the caller judges what became of them."""
        with closing(self.server):
            return [self._step(block) for block in blocks if block.mark != NOT_RUN]

    def _step(self, block: Block) -> Step:
        if f"git clone ADDRESS {INSTALLED}" in block.text:
            self._take_a_fresh_machine()
        home = self.scratch / f"installed-{self.installations}"
        text = block.text.replace(":8443", f":{self.port}").replace(INSTALLED, str(home))
        if block.mark == "runs: in the background":
            return Step(block, 0, self._start(text))
        if block.mark == "needs: answers":
            return Step(block, *self.shell.answer(text))
        first = self._prepare(block.mark)
        if "--replicas" not in text and "install systemd" in text:  # replicas take over from units that are there
            shutil.rmtree(self.scratch / "machine/etc/systemd", ignore_errors=True)
        if "--replicas" in text:
            first = f"export DATABASE_URL='{self.postgres_url}'"  # several processes refuse SQLite
        stopped = "systemctl stop" in text
        if stopped:
            self.server.close()
        code, output = self.shell.run(text, first)
        if stopped and "systemctl start" in text:
            self._start(self.server_text)
        return Step(block, code, output)

    def _prepare(self, mark: str) -> str:
        """Bring about what a block needs; return what is set for it alone."""
        match mark:
            case "needs: the service":
                self._start(".venv/bin/python run_api_server.py")
            case "runs: after a delivery":
                self._receive()
            case "needs: a fal account":
                settings = self.shell.folder / ".env"
                settings.write_text(settings.read_text().replace("\nFAL_API_KEY=\n", "\nFAL_API_KEY=a:b\n"))
                return f'export PATH="{self.scratch}/standins/outside:$PATH"'
            case "needs: the domain":
                certificate = self.shell.folder / "ssl/aibots_kz.crt"
                resolve = f'resolve = "aibots.kz:{self.port}:127.0.0.1"\ncacert = "{certificate}"\nsilent\n'
                (self.scratch / ".curlrc").write_text(resolve)
            case "needs: postgresql":
                self.server.close()
                (self.shell.folder / "data/new-url").write_text(self.postgres_url)
        return ""

    def _take_a_fresh_machine(self) -> None:
        self.server.close()
        shutil.rmtree(self.scratch / "machine", ignore_errors=True)
        self.installations += 1

    def _start(self, text: str) -> str:
        self.server.close()
        said = self.scratch / f"said-{len(self.said)}"
        self.server.enter_context(self.shell.background(text, said))
        self.server_text = text
        self.said.append(said)
        return said.read_text()

    def _receive(self) -> None:
        with closing(sqlite3.connect(self.shell.folder / "data/aisha.db", timeout=10)) as database:
            for table, row in ROWS.items():
                _put(database, table, row)
            database.commit()


def _put(database: sqlite3.Connection, table: str, row: Mapping[str, str | int | bytes]) -> None:
    marks = ", ".join("?" for _ in row)
    if database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0:
        database.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", list(row.values()))
