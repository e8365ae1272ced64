"""A way out that reaches machines on the internet only: the addresses of a name are checked before one is used.

The address that was checked is the one that is connected to, so that a name cannot be one machine for the check and
another for the connection. Behind an outgoing proxy names are not ours to resolve; there the list of hosts decides.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from threading import Thread
from urllib.request import getproxies, proxy_bypass

import httpx2

from app.domain.network import is_public

HTTPS = 443
MOST_ADDRESSES = 4  # of one name are tried
MOST_LOOKUPS = 8  # at a time: a resolver that hangs holds so many threads
# A pool knows a connection by its address, and one address may serve several names: no connection is used twice.
UNSHARED = httpx2.Limits(max_connections=64, max_keepalive_connections=0)

Lookup = Callable[[str], Awaitable[Sequence[str]]]


class AddressRefused(httpx2.ConnectError):
    """A name has no address, or one that is no machine's on the internet. `why`: no_address · private_address."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class PinnedTransport(httpx2.AsyncBaseTransport):
    """Sends requests to public names, each on a connection of its own.

    `lookup` gives the addresses of a name, `inner` speaks to one of them, `proxy_of` names the proxy for a host.
    Raises AddressRefused and what `inner` raises.
    """

    def __init__(
        self,
        lookup: Lookup | None = None,
        inner: httpx2.AsyncBaseTransport | None = None,
        proxy_of: Callable[[str], str | None] | None = None,
    ) -> None:
        self._lookup = Resolver().addresses if lookup is None else lookup
        self._inner = inner
        self._proxy_of = _proxy_of if proxy_of is None else proxy_of
        self._proxies: dict[str, httpx2.AsyncBaseTransport] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request to a checked address of its host, to the next where none answers there."""
        host = _host(request)
        if (proxy := self._proxy_of(host)) is not None:
            return await self._through(proxy).handle_async_request(request)
        addresses = await self._lookup(host)
        failed: httpx2.TransportError = AddressRefused("private_address" if addresses else "no_address")
        if all(map(is_public, addresses)):
            for address in addresses[:MOST_ADDRESSES]:
                try:
                    return await self._direct().handle_async_request(_pin(request, address))
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    failed = error
        raise failed

    async def aclose(self) -> None:
        """Close what is open."""
        for transport in (self._inner, *self._proxies.values()):
            if transport is not None:
                await transport.aclose()

    def _direct(self) -> httpx2.AsyncBaseTransport:
        if self._inner is None:  # trust anchors come with it, which take time and memory: not before they are needed
            self._inner = httpx2.AsyncHTTPTransport(limits=UNSHARED)
        return self._inner

    def _through(self, proxy: str) -> httpx2.AsyncBaseTransport:
        if proxy not in self._proxies:
            self._proxies[proxy] = httpx2.AsyncHTTPTransport(proxy=proxy, limits=UNSHARED)
        return self._proxies[proxy]


class Resolver:
    """Asks the system for the addresses of names, on threads that hold up no exit. Who asks twice waits once."""

    def __init__(self, ask: Callable[[str], Sequence[str]] | None = None) -> None:
        self._ask = _addresses if ask is None else ask
        self._asked: dict[str, asyncio.Future[Sequence[str]]] = {}

    async def addresses(self, host: str) -> Sequence[str]:
        """Return the addresses of a name, none where it has none. Raises AddressRefused while too many are asked."""
        if host not in self._asked:
            if len(self._asked) >= MOST_LOOKUPS:
                raise AddressRefused("no_address")
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[Sequence[str]] = loop.create_future()
            Thread(target=self._look_up, args=(loop, host, answer), name="lookup", daemon=True).start()
            self._asked[host] = answer
        return await asyncio.shield(self._asked[host])

    def _look_up(self, loop: asyncio.AbstractEventLoop, host: str, answer: "asyncio.Future[Sequence[str]]") -> None:
        found: Sequence[str] = ()
        with suppress(OSError, UnicodeError):
            found = self._ask(host)
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(self._tell, host, answer, found)

    def _tell(self, host: str, answer: "asyncio.Future[Sequence[str]]", found: Sequence[str]) -> None:
        del self._asked[host]
        answer.set_result(found)


def _addresses(host: str) -> Sequence[str]:
    found = socket.getaddrinfo(host, HTTPS, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _pin(request: httpx2.Request, address: str) -> httpx2.Request:
    """Direct a request to an address; Host and the name in TLS stay those of the URL."""
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        extensions={**request.extensions, "sni_hostname": _host(request)},
    )


def _host(request: httpx2.Request) -> str:
    return request.url.raw_host.decode("ascii")  # `host` would decode the xn-- spelling


def _proxy_of(host: str) -> str | None:
    """Name the proxy that the environment asks for, as the other client of this package takes it from there."""
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy or proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"
