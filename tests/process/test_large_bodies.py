"""Fault 30 on the whole server over TLS: what is too large is refused early, and memory does not notice."""

import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.routers.fal_webhook import PATH
from app.twins.signing import ACCOUNT, FalKey, sign
from tests.process.conftest import StartServer

pytestmark = pytest.mark.anyio

KEY = FalKey.generate()
MIB = 1 << 20
MOST_GROWTH = 20 * MIB
ROUNDS = 3
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


def header(fields: str) -> bytes:
    signed = sign(KEY, "019a7c6e-8c1c-7c57-9aa3-85312e0ec0ea", ACCOUNT, int(time.time()), b"")
    lines = [f"{name}: {value}" for name, value in signed.items()]
    first = [f"POST {PATH} HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json", fields]
    return "\r\n".join([*first, *lines, "", ""]).encode()


def ten_mebibytes() -> Iterator[bytes]:
    yield header(f"Content-Length: {10 * MIB}")
    yield from [b"x" * 65536] * 160


def endless_chunks() -> Iterator[bytes]:
    yield header("Transfer-Encoding: chunked")
    yield from [CHUNK] * 1024


def a_length_that_lies() -> Iterator[bytes]:
    yield header(f"Content-Length: {1024 * MIB}")
    yield b"x" * 1000


def ask(port: int, parts: Iterator[bytes]) -> bytes:
    """Send until nobody listens any more, and return what was answered."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    received = b""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        trusting.wrap_socket(plain) as connection,
        contextlib.suppress(ConnectionError, ssl.SSLError),
    ):
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            for part in parts:
                connection.sendall(part)
        while part := connection.recv(65536):
            received += part
    return received


def peak(pid: int) -> int:
    """Return the most memory that the process has ever held, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


@pytest.mark.parametrize("parts", [ten_mebibytes, endless_chunks, a_length_that_lies])
async def test_a_body_beyond_the_limit_is_a_413_and_costs_no_memory(
    sqlite_url: str, start_server: StartServer, parts: Callable[[], Iterator[bytes]]
) -> None:
    """10 MiB, chunks without end, a length of 1 GiB: 413, closed, memory grows by less than 20 MiB (fault 30)."""
    async with start_server(sqlite_url) as server:
        port = int(server.url.rpartition(":")[2])
        ask(port, iter([header("Content-Length: 2"), b"{}"]))
        before = peak(server.process.pid)
        for _ in range(ROUNDS):
            answer = ask(port, parts())
            assert answer.startswith(b"HTTP/1.1 413 ") or (answer == b"" and parts is not a_length_that_lies)
        assert peak(server.process.pid) - before < MOST_GROWTH
