"""Clients that take their time: each kind keeps a connection for as long as the server lets it (fault 31).

Those who do not read are in test_listener: only an answer of many MiB makes them wait.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.routers.fal_webhook import PATH

DRIP = 0.3  # s between two bytes of those who send some
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how a TLS client begins
HEADER = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
BODY = HEADER + b"Content-Length: 100000\r\n\r\n"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def silent(stream: Stream) -> None:
    """Say nothing, after the handshake or instead of it."""
    await stream[0].read()


async def half_hello(stream: Stream) -> None:
    stream[1].write(HELLO)
    await stream[0].read()


async def half_header(stream: Stream) -> None:
    await _drip(stream, HEADER, b"X-Slow: y\r\n")


async def half_body(stream: Stream) -> None:
    await _drip(stream, BODY, b" ")


async def _drip(stream: Stream, first: bytes, more: bytes) -> None:
    async def send() -> None:
        stream[1].write(first)
        while True:
            await asyncio.sleep(DRIP)
            stream[1].write(more)

    sending = asyncio.create_task(send())
    try:
        await stream[0].read()
    finally:
        sending.cancel()


@dataclass(frozen=True)
class Kind:
    """What a client does, and whether it shakes hands first."""

    does: Callable[[Stream], Awaitable[None]]
    tls: bool = True


KINDS = {
    "TCP without a hello": Kind(silent, tls=False),
    "half a hello": Kind(half_hello, tls=False),
    "silent": Kind(silent),
    "half a header": Kind(half_header),
    "half a body": Kind(half_body),
}


async def endure(kind: Kind, port: int) -> float:
    """Stay for as long as the server allows; return the seconds since the connection, or its handshake, was there."""
    loop = asyncio.get_running_loop()
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    start = loop.time()
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting if kind.tls else None)
        start = loop.time()
        try:
            await kind.does((reader, writer))
        finally:
            writer.transport.abort()
    return loop.time() - start


@asynccontextmanager
async def besieged(port: int, of_each: int) -> AsyncIterator[dict[str, list[asyncio.Task[float]]]]:
    """Keep `of_each` clients of every kind at the server; each task returns how long its client was endured."""
    clients = {name: [asyncio.create_task(endure(kind, port)) for _ in range(of_each)] for name, kind in KINDS.items()}
    try:
        yield clients
    finally:
        for tasks in clients.values():
            for task in tasks:
                task.cancel()
