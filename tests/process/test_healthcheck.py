"""`aisha-webhook healthcheck` against something that answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner

from app.cli.main import app


class Picky(BaseHTTPRequestHandler):
    """Answers to one name only, as the server does."""

    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Host"] == "example.kz" and self.path == "/readyz" else 400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Picky) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@pytest.mark.parametrize(("hosts", "code"), [("example.kz", 0), ("other.kz", 1)])
def test_it_asks_by_a_name_that_is_let_in(
    hosts: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where ALLOWED_HOSTS lacks localhost, the server is asked by a name that is there and found ready."""
    monkeypatch.chdir(tmp_path)
    with listening() as port:
        for name, value in {"API_PORT": str(port), "SSL_ENABLED": "false", "ALLOWED_HOSTS": hosts}.items():
            monkeypatch.setenv(name, value)
        assert CliRunner().invoke(app, ["healthcheck"]).exit_code == code
