"""Telegram's side of the network, byte by byte: what tests/telegram/telegram_verdicts.json tells it to do.

A case holds `answers`, given in turn, one a request: `status` (200), `headers`, `body` and the number of spaces that
pad it (`padding`), or the bytes as they are (`raw`, Latin-1). `then` says what follows: hang, drip (a byte now and
then), close or reset. With `"at": "connect"` no request is awaited. `{token}` stands for the token.

Its `network` is http, or: refused; full (connections stay unaccepted); tls (trusted); tls-unknown (issued by a
stranger); tls-name (for another name); tls-less (https meets what speaks no TLS); proxy and proxied-tls (the answers
are a proxy's); or a URL.
"""

import asyncio
import gzip
import json
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl

import pytest
import trustme

from tests.canaries import TELEGRAM_TOKEN
from tests.ports import free_port

DRIP = 0.05  # s between two bytes
RESET = b"\1\0\0\0\0\0\0\0"  # struct linger: hang up at once, with RST

Case = dict[str, Any]


class Server:
    """Gives the answers of a case, and remembers the fields of each request that reached Telegram."""

    def __init__(self, answers: list[Case]) -> None:
        self.asked: list[dict[str, Any]] = []
        self.over = asyncio.Event()
        self.tasks: set[asyncio.Task[None] | None] = set()
        self._answers = iter(json.loads(json.dumps(answers).replace("{token}", TELEGRAM_TOKEN)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer, next(self._answers, {"raw": "", "then": "close"})):
                pass
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Case) -> bool:
        if answer.get("at") != "connect":
            line, fields = await _read(reader)
            self.asked += [] if line.startswith("CONNECT") else [fields]
        writer.write(_bytes(answer))
        await writer.drain()
        match answer.get("then"):
            case "hang":
                await self.over.wait()
            case "drip":
                while not self.over.is_set():
                    writer.write(b" ")
                    await writer.drain()
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self.over.wait(), DRIP)
            case "reset":
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()
        return "then" not in answer


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, Any]]:
    line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(each.lower().split(": ", 1) for each in lines if each)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    is_json = body and headers.get("content-type", "").startswith("application/json")
    return line, json.loads(body) if is_json else dict(parse_qsl(body.decode()))


def _bytes(answer: Case) -> bytes:
    if "raw" in answer:
        return str(answer["raw"]).encode("latin-1")
    headers: dict[str, str] = {"Content-Type": "application/json"} | answer.get("headers", {})
    body: bytes = (answer.get("body", "") + " " * answer.get("padding", 0)).encode()
    if headers.get("Content-Encoding") == "gzip":
        body = gzip.compress(body)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {answer.get('status', 200)} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


@contextmanager
def _unaccepted() -> Iterator[str]:
    """Give an address at which no connection comes about, because its queue is full."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


def _context(network: str, authority: trustme.CA) -> ssl.SSLContext | None:
    if network not in {"tls", "tls-unknown", "tls-name"}:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    issuer = trustme.CA() if network == "tls-unknown" else authority
    issuer.issue_cert("other.example" if network == "tls-name" else "127.0.0.1").configure_cert(context)
    return context


@asynccontextmanager
async def telegram(
    case: Case, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[str, Server]]:
    """Play the case; give the address for a client that trusts `authority`, and the server."""
    network, server = case.get("network", "http"), Server(case.get("answers", []))
    if network == "refused":
        yield f"http://127.0.0.1:{free_port()}", server
        return
    if network == "full":
        with _unaccepted() as url:
            yield url, server
        return
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=_context(network, authority))
    here = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    if network in {"proxy", "proxied-tls"}:
        monkeypatch.setenv("HTTP_PROXY" if network == "proxy" else "HTTPS_PROXY", f"http://{here}")
    urls = {"http": f"http://{here}", "proxy": "http://api.example", "proxied-tls": "https://api.example"}
    try:
        yield urls.get(network, f"https://{here}" if network.startswith("tls") else network), server
    finally:
        server.over.set()
        listener.close()
        await listener.wait_closed()
        await asyncio.gather(*filter(None, server.tasks))
