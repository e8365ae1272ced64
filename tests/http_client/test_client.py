"""The one HTTP client: connections kept and closed, answers capped, failures named, certificates checked."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
import trustme
import uvloop

from app.http_client import client as client_module
from app.http_client.client import HttpClient, HttpReply, read_url
from app.http_client.failures import HttpFailed
from tests.bot_api import CUT, HANG, bot_api
from tests.ports import free_port

pytestmark = pytest.mark.anyio

SECRET = "CANARY"
EMPTY = b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n"


def http(*, connections: int = 10, connect: float = 5.0, read: float = 10.0) -> HttpClient:
    headers = {"User-Agent": "test"}
    return HttpClient(headers, connections=connections, connect_seconds=connect, read_seconds=read)


async def get(client: HttpClient, url: str, limit: int = 1000) -> HttpReply:
    return await client.ask("GET", read_url(f"{url}/{SECRET}"), limit=limit)


async def post(client: HttpClient, url: str) -> HttpReply:
    headers = {"Content-Type": "application/json"}
    return await client.ask("POST", read_url(url), limit=1000, headers=headers, body=b"{}")


class Wire:
    """The other end, byte by byte: `answers` are a connection's, one a request; then it hangs up or waits."""

    def __init__(self, *connections: Sequence[bytes], hangs_up: bool = True) -> None:
        self.connections = list(connections)
        self.hangs_up = hangs_up
        self.asked: list[str] = []
        self.over = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in self.connections.pop(0) if self.connections else ():
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head.partition("\r\n")[0])
            writer.write(answer)
            await writer.drain()
        if not self.hangs_up:
            await self.over.wait()
        writer.close()


@asynccontextmanager
async def listening(wire: Wire) -> AsyncIterator[Wire]:
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        wire.over.set()
        server.close()
        await server.wait_closed()


async def test_requests_one_after_another_share_a_connection() -> None:
    """A TLS handshake for each would cost more than the request."""
    async with bot_api() as api, http() as client:
        for _ in range(3):
            assert (await post(client, api.url)).status == 200
        assert api.most_open == 1


async def test_what_nobody_uses_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst's connections do not stay open after it, and the next request opens another."""
    monkeypatch.setattr(client_module, "KEPT_SECONDS", 0.05)
    async with bot_api() as api, http() as client:
        await asyncio.gather(*(post(client, api.url) for _ in range(5)))
        async with asyncio.timeout(10):
            await api.left_alone.wait()
        assert (await post(client, api.url)).status == 200


async def test_a_connection_that_was_closed_costs_no_request() -> None:
    """The other side hung up after its answer: that is seen before anything is sent (fault 42)."""
    async with listening(Wire([EMPTY], [EMPTY])) as wire, http() as client:
        for _ in range(2):
            assert (await client.ask("POST", read_url(wire.url), limit=10, body=b"")).status == 200
    assert len(wire.asked) == 2


async def test_bytes_that_nobody_asked_for_are_no_answer() -> None:
    """They end the connection, where they would be taken for the answer to the next request."""
    stray = b"HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n"
    async with listening(Wire([EMPTY + stray], [EMPTY], hangs_up=False)) as wire, http() as client:
        assert [(await get(client, wire.url)).status for _ in range(2)] == [200, 200]


async def test_bytes_that_come_later_are_no_answer_either() -> None:
    """A kept connection is looked at before it is used."""
    stray = b"HTTP/1.1 201 X\r\nContent-Length: 0\r\n\r\n"

    class Late(Wire):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if self.asked:
                await super().serve(reader, writer)
                return
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(EMPTY)
            await self.over.wait()
            self.over.clear()
            writer.write(stray)
            await writer.drain()
            await self.over.wait()
            writer.close()

    async with listening(Late([EMPTY], hangs_up=False)) as wire, http() as client:
        assert (await get(client, wire.url)).status == 200
        wire.over.set()
        await asyncio.sleep(0)
        assert (await get(client, wire.url)).status == 200


async def test_a_question_may_be_asked_again_and_a_command_may_not() -> None:
    """On a kept connection that breaks under the request, GET is repeated once, POST never (fault 42)."""
    async with bot_api((200, b""), CUT, (200, b""), (200, b""), CUT) as api, http() as client:
        assert (await post(client, api.url)).status == 200
        with pytest.raises(HttpFailed, match="RemoteProtocolError"):
            await post(client, api.url)
        assert len(api.asked) == 2
    async with listening(Wire([EMPTY, b""], [EMPTY])) as wire, http() as client:
        for _ in range(2):
            assert (await get(client, wire.url)).status == 200
    assert len(wire.asked) == 3


async def test_a_request_that_is_given_up_takes_its_connection_along() -> None:
    """Its answer would be taken for the next one's."""
    async with bot_api(HANG) as api, http() as client:
        asking = asyncio.create_task(post(client, api.url))
        await api.heard.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        api.release.set()
        await api.left_alone.wait()
        assert (await post(client, api.url)).status == 200


async def test_no_more_runs_at_once_than_there_are_connections() -> None:
    """Who waits too long for one was not sent; a request given up makes room."""
    async with bot_api(HANG) as api, http(connections=1, connect=0.05) as client:
        asking = asyncio.create_task(post(client, api.url))
        await api.heard.wait()
        with pytest.raises(HttpFailed, match="PoolTimeout") as caught:
            await post(client, api.url)
        assert not caught.value.has_left
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        assert (await post(client, api.url)).status == 200


async def test_an_endless_answer_is_read_no_further_than_its_limit() -> None:
    """Nobody fills our memory, and the connection is not used again."""
    head = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless = head + b"1000\r\n" + b"x" * 4096 + b"\r\n"
    async with listening(Wire([endless], [EMPTY], hangs_up=False)) as wire, http() as client:
        answer = await get(client, wire.url, limit=100)
        assert 100 < len(answer.body) <= 4096
        assert (await get(client, wire.url)).body == b""


async def test_no_redirect_is_followed_and_no_cookie_is_kept() -> None:
    """What an answer asks for is not done (fault 50)."""
    moved = b"HTTP/1.1 302 X\r\nLocation: /evil\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    seen: list[str] = []

    class Seeing(Wire):
        async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(2):
                seen.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
                writer.write(moved)
                await writer.drain()
            writer.close()

    async with listening(Seeing()) as wire, http() as client:
        assert [(await get(client, wire.url)).status for _ in range(2)] == [302, 302]
    assert [head.partition("\r\n")[0] for head in seen] == ["get /canary http/1.1"] * 2
    assert "cookie" not in "".join(seen)


async def test_headers_without_end_are_no_answer() -> None:
    """Nobody fills our memory with them."""
    async with listening(Wire([b"HTTP/1.1 200 X\r\n" + b"A: b\r\n" * 50_000])) as wire, http() as client:
        with pytest.raises(HttpFailed, match="RemoteProtocolError"):
            await get(client, wire.url)


@pytest.mark.parametrize(
    ("answer", "why"), [(b"SSH-2.0-x\r\n", "RemoteProtocolError"), (b"", "RemoteProtocolError")], ids=["SSH", "nothing"]
)
async def test_no_exception_and_no_log_line_holds_the_url(
    answer: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A token stands in it: neither the error, nor what led to it, nor a library's words at DEBUG show it."""
    for name in ("", "aiohttp", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    async with listening(Wire([answer], [answer])) as wire, http() as client:
        with pytest.raises(HttpFailed) as caught:
            await get(client, wire.url)
    assert (caught.value.why, caught.value.has_left) == (why, True)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert SECRET not in f"{caught.value!r} {caplog.text} {client!r}"


async def test_silence_and_nobody_are_told_apart() -> None:
    """Nobody listening: nothing has left. Silence after the request: it may have been taken (fault 42)."""
    async with http(read=0.05) as client:
        with pytest.raises(HttpFailed) as refused:
            await get(client, f"http://127.0.0.1:{free_port()}")
        async with listening(Wire([b""], hangs_up=False)) as wire:
            with pytest.raises(HttpFailed) as silent:
                await get(client, wire.url)
    assert [(each.value.why, each.value.has_left, each.value.is_late) for each in (refused, silent)] == [
        ("ConnectError", False, False),
        ("ReadTimeout", True, True),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ftp://127.0.0.1/", "UnsupportedProtocol"),
        ("api.telegram.org", "UnsupportedProtocol"),
        ("http:///a", "UnsupportedProtocol"),
        ("http://127.0.0.1:nope/", "InvalidURL"),
        ("http://\x00/", "InvalidURL"),
        ("http://[::1/", "InvalidURL"),
    ],
)
def test_what_is_no_address_is_said_before_anything_is_tried(text: str, why: str) -> None:
    """And the address is not repeated."""
    with pytest.raises(HttpFailed, match=f"^{why}$") as caught:
        read_url(text)
    assert not caught.value.has_left


@pytest.mark.parametrize(("name", "authority"), [("127.0.0.1", 0), ("other.example", 0), ("127.0.0.1", 1)])
def test_a_certificate_is_checked_on_the_loop_that_the_server_has(
    name: str, authority: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop does TLS by itself: another name and a stranger's signature are refused there as well."""
    authorities = [trustme.CA(), trustme.CA()]
    served, trusted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authorities[authority].issue_cert(name).configure_cert(served)
    authorities[0].configure_trust(trusted)
    monkeypatch.setattr(client_module, "trust", lambda: trusted)

    async def ask() -> None:
        async with bot_api(context=served) as api, http() as client:
            if (name, authority) != ("127.0.0.1", 0):
                with pytest.raises(HttpFailed, match="CertificateError"):
                    await post(client, api.url)
                return
            for _ in range(3):
                assert (await post(client, api.url)).status == 200
            assert api.most_open == 1

    uvloop.run(ask())
