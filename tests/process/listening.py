"""The listener in a thread of the test, with a certificate, an application that echoes, and clients of raw sockets."""

import asyncio
import contextlib
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from starlette.types import ASGIApp, Receive, Scope, Send

from app.server import run
from app.server.listener import Listener, bind
from app.server.run import Server
from app.tls.live import LiveContext

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = re.compile(rb"^HTTP/1\.1 (\d{3}) .*?\r\n\r\n(.*)$", re.DOTALL)
LENGTH = re.compile(rb"content-length: (\d+).*?\r\n\r\n", re.DOTALL)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with what the application saw; /big is 32 MiB, /early answers before it has read the body."""
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    more, body = scope["path"] != "/early", b""
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        more, body = message.get("more_body", False), body + message.get("body", b"")
    seen = {
        "path": scope["path"],
        "body": len(body),
        "headers": [name.decode() for name, _ in scope["headers"]],
        "tls": scope.get("extensions", {}).get("tls"),
    }
    answer = b"x" * (32 << 20) if scope["path"] == "/big" else json.dumps(seen).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Files:
    """A root that clients trust, and the three files of a leaf two levels below it."""

    def __init__(self, folder: Path) -> None:
        self.root = trustme.CA()
        self.below = self.root.create_child_ca()
        self.cert, self.key, self.bundle = folder / "a.crt", folder / "a.key", folder / "a.ca-bundle"
        self.issue(trustme.KeyType.ECDSA)

    def issue(self, key_type: trustme.KeyType) -> None:
        leaf = self.below.issue_cert("localhost", "127.0.0.1", key_type=key_type)
        self.bundle.write_bytes(b"".join(pem.bytes() for pem in leaf.cert_chain_pems[1:]))
        self.cert.write_bytes(leaf.cert_chain_pems[0].bytes())
        self.key.write_bytes(leaf.private_key_pem.bytes())

    def live(self) -> LiveContext:
        context = LiveContext(self.cert, self.key, self.bundle)
        context.load()
        return context

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.root.configure_trust(context)
        return context

    def fingerprint(self) -> bytes:
        return x509.load_pem_x509_certificate(self.cert.read_bytes()).fingerprint(hashes.SHA256())


@dataclass
class Running:
    server: Server
    port: int
    client: ssl.SSLContext | None

    def reach(self, source: str = "127.0.0.1") -> socket.socket:
        """Connect from `source`, without TLS."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=10, source_address=(source, 0))

    def connect(self) -> socket.socket:
        plain = self.reach()
        return plain if self.client is None else self.client.wrap_socket(plain, server_hostname="localhost")

    def ask(self, request: bytes) -> bytes:
        """Send `request` and return all that comes until the server closes."""
        with self.connect() as connection:
            connection.sendall(request)
            return drain(connection)

    def connections(self) -> int:
        return len(self.server.server_state.connections)


def drain(connection: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(ConnectionResetError, ssl.SSLError):
        while part := connection.recv(65536):
            received += part
    return received


def take(connection: socket.socket) -> tuple[int, Any]:
    """Receive one whole answer."""
    received = b""
    while not (length := LENGTH.search(received)) or len(received) < length.end() + int(length[1]):
        part = connection.recv(65536)
        assert part, received
        received += part
    return answer(received)


@contextmanager
def running(listener: Listener, app: ASGIApp = echo, client: ssl.SSLContext | None = None) -> Iterator[Running]:
    """Run the listener in a thread, as `serve` does in a program."""
    ready = threading.Event()
    with bind(listener) as bound:
        server = Server(run._config(app, listener), listener, bound, lambda _url: ready.set())

        def work() -> None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve())

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert ready.wait(10)
            yield Running(server, bound.getsockname()[1], client)
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def answer(raw: bytes) -> tuple[int, Any]:
    match = ANSWER.match(raw)
    assert match is not None, raw
    return int(match[1]), json.loads(match[2])


def wait_until(true: Any, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
