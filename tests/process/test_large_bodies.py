"""Fault 30 on the whole server over TLS: what is too large is refused early, and memory does not notice."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.signing import ACCOUNT, FalKey, sign
from tests.process.conftest import Outside, StartServer

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


# --- many bodies that are within the limit, of one address

ABUSER = "127.0.0.2"  # loopback, and not spared as 127.0.0.1 is
SHARE = 125  # connections of one address
PIECE = b"x" * (16 << 10)
PIECES = 60  # of a mebibyte, which is therefore never whole
ALMOST_WITHIN = 30  # s in which the abuser has sent all that is taken, on a busy machine
SETTLED = 20  # s until the memory is given back: the sweep looks twice a second
LEFT_OVER = 12 * MIB  # that pieces of the heap may still be in use; up to 11.2 MiB were measured


def begun(*, signed: bool) -> bytes:
    fields = [f"POST {PATH} HTTP/1.1", "Host: localhost", "Content-Type: application/json", f"Content-Length: {MIB}"]
    headers = sign(KEY, "019a7c6e-8c1c-7c57-9aa3-85312e0ec0ea", ACCOUNT, int(time.time()), b"") if signed else {}
    return "\r\n".join([*fields, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


HALF_A_HEADER = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"".join(
    b"X-%d: %s\r\n" % (n, b"y" * 8000) for n in range(8)
)


@asynccontextmanager
async def unfinished(port: int, source: str, first: bytes, pieces: int = PIECES) -> AsyncIterator[list[bytes]]:
    """Hold as many bodies as one address may have connections, each almost whole; yield what was answered early."""
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    writers: list[asyncio.StreamWriter] = []
    answers: list[bytes] = []

    async def drip() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, local_addr=(source, 0))
        writers.append(writer)
        reading = asyncio.create_task(reader.read())
        with contextlib.suppress(OSError):
            writer.write(first)
            for _ in range(pieces):
                if reading.done():
                    break
                writer.write(PIECE)
                await writer.drain()
                await asyncio.sleep(0.02)
        if reading.done() and reading.exception() is None:
            answers.append(reading.result())
        reading.cancel()

    try:
        async with asyncio.timeout(ALMOST_WITHIN):
            await asyncio.gather(*(drip() for _ in range(SHARE)))
        yield answers
    finally:
        for writer in writers:
            writer.transport.abort()


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "forged"])
async def test_bodies_that_do_not_end_leave_room_for_a_delivery(
    sqlite_url: str, start_server: StartServer, outside: Outside, *, signed: bool
) -> None:
    """125 bodies of almost 1 MiB from one address cost less than 20 MiB, and fal is heard (faults 30, 62)."""
    async with start_server(sqlite_url) as server:
        port = int(server.url.rpartition(":")[2])
        await asyncio.to_thread(ask, port, iter([header("Content-Length: 2"), b"{}"]))
        before = peak(server.process.pid)
        async with unfinished(port, ABUSER, begun(signed=signed)) as answers:
            growth = peak(server.process.pid) - before
            request_id = bodies.job_id(1)
            genuine = bodies.success(request_id)
            headers = sign(outside.fal.key, request_id, ACCOUNT, int(time.time()), genuine)
            fields = [f"POST {PATH} HTTP/1.1", "Host: localhost", "Connection: close", "Content-Type: application/json"]
            fields += [f"Content-Length: {len(genuine)}", *(f"{name}: {value}" for name, value in headers.items())]
            raw = "\r\n".join([*fields, "", ""]).encode() + genuine
            answer = await asyncio.to_thread(ask, port, iter([raw]))
        assert {early[:12] for early in answers} == ({b"HTTP/1.1 503"} if signed else set())
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert growth < MOST_GROWTH


def resident(pid: int) -> int:
    """Return the memory that the process holds now, in bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError


async def settled(pid: int) -> int:
    """Return the memory of a process once it has not grown for a second: the first requests to others take some."""
    found, since = resident(pid), time.monotonic()
    while time.monotonic() - since < 1:
        await asyncio.sleep(0.1)
        if (now := resident(pid)) > found + MIB // 4:
            found, since = now, time.monotonic()
    return found


@pytest.mark.parametrize("first", [begun(signed=False), HALF_A_HEADER], ids=["bodies", "headers"])
async def test_memory_is_given_back_when_a_crowd_has_gone(
    sqlite_url: str, start_server: StartServer, first: bytes
) -> None:
    """Unfinished bodies or headers of one address cost less than 20 MiB, and little afterwards (fault 62)."""
    async with start_server(sqlite_url) as server:
        port, pid = int(server.url.rpartition(":")[2]), server.process.pid
        await asyncio.to_thread(ask, port, iter([header("Content-Length: 2"), b"{}"]))
        before, height = await settled(pid), peak(pid)
        async with unfinished(port, ABUSER, first, PIECES if first is not HALF_A_HEADER else 0):
            assert peak(pid) - height < MOST_GROWTH
        async with asyncio.timeout(SETTLED):
            while resident(pid) - before > LEFT_OVER:  # noqa: ASYNC110  another process
                await asyncio.sleep(0.2)
