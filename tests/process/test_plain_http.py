"""Plain HTTP to the port of HTTPS, as a monitor's or a webhook's URL with the wrong first word sends it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.server.listener import Listener
from tests.process.listening import GET, Files, Running, answer, drain, running, wait_until

CLOSING = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.fixture(name="secure")
def _secure(tmp_path: Path) -> Iterator[Running]:
    files = Files(tmp_path)
    with running(Listener("127.0.0.1", 0, files.live(), client_timeout=1.5), client=files.client()) as server:
        yield server


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize("body", [b"", b"x" * 300_000], ids=["no body", "a large body"])
def test_plain_http_to_the_port_of_https_is_told(secure: Running, method: str, body: bytes) -> None:
    """It is answered 400 with one sentence, however much it goes on to send; the log counts such clients (fault 60)."""
    with capture_logs() as lines, secure.reach() as connection:
        connection.sendall(f"{method} /health HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        connection.sendall(body)
        head, _, said = connection.recv(4096).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close" in head
        assert f"content-length: {len(said)}".encode() in head
        assert said.startswith(b"This port speaks HTTPS")
        wait_until(lambda: [line["clients"] for line in lines if line["event"] == "server.plain_http"] == [1])
    assert secure.server._acceptor._refusals["plain_http"] == 1
    wait_until(lambda: secure.server._acceptor._quota.present == 0)
    assert answer(secure.ask(CLOSING))[0] == 200


def test_what_is_no_http_ends_as_any_broken_handshake(secure: Running) -> None:
    """Other bytes than TLS's are answered nothing and counted nowhere, and the connection is closed (fault 60)."""
    with secure.reach() as connection:
        connection.sendall(b"\x00" * 64 + b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in drain(connection)
    assert "plain_http" not in secure.server._acceptor._refusals
