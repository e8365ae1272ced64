"""The name by which the server on this machine is asked."""

import asyncio
from collections.abc import Sequence
from typing import Never

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.doctor.host.asking import Target, name_let_in, reachable
from app.server.hosts import HostGuard


@pytest.mark.parametrize(
    ("allowed", "name"),
    [
        (["example.kz"], "example.kz"),
        (["*.example.kz", "localhost"], "webhook.example.kz"),
        (["*"], "localhost"),
        ([], "localhost"),
        (["::1"], "[::1]"),
        (["[::1]"], "[::1]"),
        (["10.0.0.7"], "10.0.0.7"),
    ],
)
def test_the_first_allowed_host_gives_the_name(allowed: Sequence[str], name: str) -> None:
    """ALLOWED_HOSTS need not hold localhost: its first entry, made a name, is used."""
    assert name_let_in(allowed) == name


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7"), ("localhost", "localhost")],
)
def test_every_address_is_none_to_call(host: str, address: str) -> None:
    """A listener on every address is reached on loopback of the same family, any other where it listens."""
    assert reachable(host) == address


@pytest.mark.parametrize("allowed", ["example.kz", "*.example.kz", "*", "::1", "[::1]", "10.0.0.7"])
@pytest.mark.parametrize("port", [443, 8443])
def test_the_name_is_let_in(allowed: str, port: int) -> None:
    """Whatever stands in ALLOWED_HOSTS, the guard lets the name in, with its port and without."""
    host = Target("127.0.0.1", port, name_let_in([allowed])).host_header
    sent: list[Message] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Never:
        raise AssertionError

    scope = {"type": "http", "path": "/health", "raw_path": b"/health", "headers": [(b"host", host.encode())]}
    asyncio.run(HostGuard(app, [allowed])(scope, receive, send))
    assert sent[0]["status"] == 200
