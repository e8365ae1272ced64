"""Requests to others over aiohttp: one method, one answer, read as far as its limit.

No redirect is followed, nothing is inflated, no cookie is kept, no netrc is read. aiohttp has the URL in its
exceptions, and a URL may hold a token: what leaves this module is HttpFailed, which has a word instead.
"""

import asyncio
import io
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any, NamedTuple, Self

import aiohttp
from yarl import URL

from app.domain.network import read_address
from app.http_client.connectors import DirectConnector
from app.http_client.failures import BROKEN, HttpFailed, failure_of
from app.http_client.proxies import is_socks, proxy_of
from app.http_client.public import Lookup, PublicNames, public_socket, refuse_private
from app.http_client.trust import trust

KEPT_SECONDS = 5.0  # a connection that nobody uses is closed after this long
REPEATED = frozenset({"PUT", "DELETE"})  # aiohttp would send them again where the connection breaks
MOST_ORIGINS = 64  # whose proxies are remembered

Address = URL
Headers = Mapping[str, str]
Form = aiohttp.FormData  # a multipart body
OnHead = Callable[[int, Headers], bool]


class HttpReply(NamedTuple):
    """What came back. `body` is as it was sent, and cut where it has more than `limit` bytes: then it has some more."""

    status: int
    headers: Headers
    body: bytes


def read_url(text: str) -> URL:
    """Read the address of something to be asked over HTTP. Raises HttpFailed where it is none."""
    try:
        url = URL(text)
    except ValueError:
        raise HttpFailed("InvalidURL") from None
    if url.scheme not in ("http", "https") or not url.raw_host:
        raise HttpFailed("UnsupportedProtocol")
    if not url.raw_host.isprintable():
        raise HttpFailed("InvalidURL")
    return url


class _Way(NamedTuple):
    """How an origin is reached. `begin` (s) bounds what aiohttp leaves unbounded: a proxy that is silent at CONNECT."""

    session: aiohttp.ClientSession
    begin: float | None


class HttpClient:
    """Connections to others; to be closed, and usable again afterwards.

    At most `connections` requests run at once. `connect_seconds` bound the wait for one of them, and the one for the
    other side (name, connection, TLS); `read_seconds` each wait for bytes; the whole is the caller's to bound.
    Proxies and trust anchors of the environment count; loopback is never spoken to through a proxy. `headers` go with
    every request. With `lookup` only machines on the internet are spoken to, over a connection for each request:
    it gives the addresses of a name, which are checked; behind a proxy names are the proxy's to resolve.
    """

    def __init__(
        self,
        headers: Headers,
        *,
        connections: int,
        connect_seconds: float,
        read_seconds: float,
        lookup: Lookup | None = None,
    ) -> None:
        self._headers = dict(headers)
        self._connections = connections
        self._connect_seconds = connect_seconds
        self._read_seconds = read_seconds
        self._lookup = lookup
        self._turns = asyncio.Semaphore(connections)
        self._sessions: dict[tuple[URL | None, bool], aiohttp.ClientSession] = {}
        self._ways: dict[tuple[str, str | None, int | None, bool], _Way] = {}

    async def __aenter__(self) -> Self:
        """Connect to nothing yet."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close every connection."""
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        sessions, self._sessions, self._ways = self._sessions, {}, {}
        for session in sessions.values():
            await session.close()

    async def ask(
        self,
        method: str,
        url: URL,
        *,
        limit: int,
        headers: Headers | None = None,
        body: bytes | Form | None = None,
        on_head: OnHead | None = None,
    ) -> HttpReply:
        """Send one request; read at most `limit` bytes of the answer, and a piece more to see that there are more.

        `on_head` is given status and headers as soon as they are there, and tells whether the body is wanted; it may
        raise. A GET or HEAD is sent once more
        where the connection breaks before the answer; nothing else ever is. Raises HttpFailed.
        """
        if self._turns.locked():
            await self._wait_for_turn()
        else:
            await self._turns.acquire()
        try:
            return await self._ask(method, url, limit, on_head, headers=headers, data=body)
        except BROKEN as error:
            raise failure_of(error) from None
        finally:
            self._turns.release()

    async def _wait_for_turn(self) -> None:
        try:
            async with asyncio.timeout(self._connect_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise HttpFailed("PoolTimeout") from None

    async def _ask(self, method: str, url: URL, limit: int, on_head: OnHead | None, **sent: Any) -> HttpReply:
        session, begin = self._way_to(url, is_once=method in REPEATED)
        request = session.request(method, url, allow_redirects=False, **sent)
        # Here `begin` differs from the waits of the session: it spans them all until the answer begins.
        async with nullcontext() if begin is None else asyncio.timeout(begin):
            response = await request
        async with response:
            read = bytearray()
            if on_head is not None and not on_head(response.status, response.headers):
                return HttpReply(response.status, response.headers, bytes(read))
            async for piece in response.content.iter_any():
                read += piece
                if len(read) > limit:
                    break
            return HttpReply(response.status, response.headers, bytes(read))

    def _way_to(self, url: URL, *, is_once: bool) -> _Way:
        origin = (url.scheme, url.raw_host, url.port, is_once)
        way = self._ways.get(origin)
        if way is None:
            if len(self._ways) >= MOST_ORIGINS:
                self._ways.clear()
            way = self._ways[origin] = self._find_way(url, is_once)
        return way

    def _find_way(self, url: URL, is_once: bool) -> _Way:
        try:
            proxy = proxy_of(url)
        except ValueError:
            raise HttpFailed("ProxyError") from None
        if self._lookup is not None and proxy is None and read_address(url.host) is not None:
            refuse_private(url.host or "")
        if (proxy, is_once) not in self._sessions:
            try:
                session = self._sessions[proxy, is_once] = self._open(proxy)
            except OSError:  # no root certificates where the environment says they are
                raise HttpFailed("ConnectError") from None
            if is_once:
                session._retry_connection = False  # noqa: SLF001  aiohttp has no other switch
        return _Way(
            self._sessions[proxy, is_once], None if proxy is None else self._connect_seconds + self._read_seconds
        )

    def _open(self, proxy: URL | None) -> aiohttp.ClientSession:
        options: dict[str, Any] = {"limit": 0, "ssl": trust()}  # how many at once, the turns decide
        if self._lookup is None:
            options["keepalive_timeout"] = KEPT_SECONDS
        else:
            options["force_close"] = True  # a connection is known by its name, whose addresses are checked each time
        # Each address has its own wait, so that there is time for the next one; but without a list of checked addresses
        # the look-up of a name is bounded here or nowhere.
        waits = aiohttp.ClientTimeout(sock_connect=self._connect_seconds, sock_read=self._read_seconds)
        if proxy is None and self._lookup is None:
            waits = aiohttp.ClientTimeout(connect=self._connect_seconds, sock_read=self._read_seconds)
        elif proxy is None and self._lookup is not None:
            names = PublicNames(self._lookup)
            options |= {"resolver": names, "use_dns_cache": False, "socket_factory": public_socket}
        connector: aiohttp.BaseConnector
        if proxy is None or not is_socks(proxy):
            connector = DirectConnector(**options)
        else:
            from app.http_client.socks import socks_connector  # noqa: PLC0415  who is behind none need not pay for it

            connector = socks_connector(proxy, **options)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=self._headers,
            timeout=waits,
            auto_decompress=False,
            proxy=proxy if proxy is not None and not is_socks(proxy) else None,
        )


def make_form(texts: Mapping[str, str], files: Mapping[str, bytes]) -> Form:
    """Put fields and files together, each file under its field's name."""
    form = Form()
    for name, text in texts.items():
        form.add_field(name, text)
    for name, content in files.items():
        form.add_field(name, io.BytesIO(content), filename=name, content_type="application/octet-stream")
    return form
