"""The listener on a Unix socket that was handed over, with a proxy at its other end."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from app.server import run
from app.server.listener import Listener, narrow
from app.server.proxies import ClientAddress
from app.server.run import Server
from tests.process.listening import answer, drain, echo

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 203.0.113.9:4711\r\nConnection: close\r\n\r\n"


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the client's address."""
    if scope["type"] == "lifespan":
        await echo(scope, receive, send)
        return
    body = json.dumps({"client": scope["client"]}).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture(params=[("unix",), ("127.0.0.1",)], ids=["trusted", "not trusted"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str, bool]]:
    """The socket's path, the URL that the server says it has, and whether `unix` is trusted."""
    trusted: tuple[str, ...] = request.param
    path, told = tmp_path / "api.sock", list[str]()
    listener = Listener("127.0.0.1", 0, None, spared=trusted)
    ready = threading.Event()

    def greet(url: str) -> None:
        told.append(url)
        ready.set()

    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        server = Server(run._config(ClientAddress(who, trusted), listener), listener, narrow(bound, listener), greet)

        def work() -> None:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(server.serve())

        thread = threading.Thread(target=work)
        thread.start()
        try:
            assert ready.wait(10)
            yield path, told[0], trusted == ("unix",)
        finally:
            server.should_exit = True
            thread.join(10)
            assert not thread.is_alive()


def test_a_peer_on_a_unix_socket_is_believed_when_unix_is_listed(served: tuple[Path, str, bool]) -> None:
    """With FORWARDED_ALLOW_IPS=unix the proxy's header names the client; otherwise nobody does (fault 36)."""
    path, url, is_trusted = served
    assert url == f"unix:{path}"
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(REQUEST)
        status, seen = answer(drain(connection))
    assert (status, seen["client"]) == (200, ["203.0.113.9", 0] if is_trusted else None)
