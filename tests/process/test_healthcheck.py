"""`aisha-webhook healthcheck` against something that answers."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from tests.authorities import DOMAIN, Lineage


class Picky(BaseHTTPRequestHandler):
    """Answers to one name only, as the server does."""

    def do_GET(self) -> None:
        name = (self.headers["Host"] or "").partition(":")[0]
        self.send_response(200 if name == DOMAIN and self.path == "/readyz" else 400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Picky) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@pytest.fixture(name="environment")
def _environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALLOWED_HOSTS", DOMAIN)
    return monkeypatch


def check(environment: pytest.MonkeyPatch, port: int, **settings: str) -> Result:
    for name, value in {"API_PORT": str(port), "SSL_ENABLED": "false", **settings}.items():
        environment.setenv(name, value)
    return CliRunner().invoke(app, ["healthcheck"])


@pytest.mark.parametrize(("hosts", "code"), [(DOMAIN, 0), ("other.kz", 1)])
def test_it_asks_by_a_name_that_is_let_in(hosts: str, code: int, environment: pytest.MonkeyPatch) -> None:
    """Where ALLOWED_HOSTS lacks localhost, the server is asked by a name that is there and found ready."""
    with listening() as port:
        assert check(environment, port, ALLOWED_HOSTS=hosts).exit_code == code


def test_it_names_itself_in_the_handshake(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """Whoever shows nothing to a client without a server name, as nginx's default server, is given one."""
    lineage = Lineage(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(lineage.paths.cert, lineage.paths.key)

    def refuse(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        return None if name == DOMAIN else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

    context.sni_callback = refuse
    with listening(context) as port:
        assert check(environment, port, SSL_ENABLED="true").exit_code == 0


def test_every_address_is_asked_on_loopback(environment: pytest.MonkeyPatch) -> None:
    """A server on 0.0.0.0 is reached on this machine."""
    with listening() as port:
        assert check(environment, port, API_HOST="0.0.0.0").exit_code == 0


def test_nobody_there_is_told_apart(environment: pytest.MonkeyPatch) -> None:
    """Where nobody answers, the exit code is 69 and the address is named."""
    with listening() as port:
        pass
    done = check(environment, port)
    assert done.exit_code == 69
    assert f"127.0.0.1:{port}" in done.stderr
