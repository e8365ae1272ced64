"""fal through a proxy of the environment: SOCKS and HTTP, TLS checked end to end."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from app.core.outgoing import NAMES
from app.core.setting_loader import load_settings
from app.fal.client import FetchFailed, get_capped, make_client

pytestmark = pytest.mark.anyio

HOST = "rest.fal.test"  # no resolver knows it: only the proxy does
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


async def fal(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nkeys")
    await writer.drain()
    writer.close()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.close()


def socks(port: int, asked: list[str]) -> Speak:
    """A SOCKS5 proxy without authentication that leads everywhere to `port` (RFC 1928)."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, methods = await reader.readexactly(2)
        assert version == 5
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        _, command, _, kind = await reader.readexactly(4)
        assert (command, kind) == (1, 3)  # connect, to a name
        [length] = await reader.readexactly(1)
        asked.append((await reader.readexactly(length)).decode())
        await reader.readexactly(2)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await join(reader, writer, port)

    return speak


def http(port: int, asked: list[str]) -> Speak:
    """An HTTP proxy that takes CONNECT."""

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.split()[1].partition(":")[0])
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await join(reader, writer, port)

    return speak


async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there, back = await asyncio.open_connection("127.0.0.1", port)
    try:
        await asyncio.gather(pipe(reader, back), pipe(there, writer), return_exceptions=True)
    finally:
        back.close()


@asynccontextmanager
async def listening(speak: Speak, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    under_way: set[asyncio.Task[None]] = set()

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way.add(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await speak(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(closing, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.wait_for(asyncio.gather(*under_way, return_exceptions=True), 10)
    await asyncio.sleep(0)  # closed transports let go of their sockets at the loop's next turn


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    for name in (*NAMES, *map(str.lower, NAMES)):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "roots.pem")
    monkeypatch.setenv("SSL_CERT_FILE", "roots.pem")
    return ca


@pytest.mark.parametrize(("scheme", "proxy"), [("socks5", socks), ("socks5h", socks), ("http", http)])
async def test_fal_is_reached_through_a_proxy(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, scheme: str, proxy: Callable[[int, list[str]], Speak]
) -> None:
    """The proxy is asked for fal's name, and fal's own certificate is checked behind it (fault 60)."""
    tls, asked = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), list[str]()
    authority.issue_cert(HOST).configure_cert(tls)
    async with listening(fal, tls) as port, listening(proxy(port, asked)) as proxy_port:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{proxy_port}")
        load_settings()
        async with make_client() as client:
            assert await get_capped(client, f"https://{HOST}/keys", 100) == (200, b"keys")
    assert asked == [HOST]


async def test_a_proxy_that_is_away_is_an_ordinary_failure(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody listens there: fal is unreachable, and nothing else breaks (fault 60)."""
    del authority
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    load_settings()
    async with make_client() as client:
        with pytest.raises(FetchFailed, match="unreachable"):
            await get_capped(client, f"https://{HOST}/keys", 100)
