"""A way out that reaches machines on the internet only: the addresses of a name are checked before one is used.

The address that was checked is the one that is connected to, so that a name cannot be one machine for the check and
another for the connection. Behind an outgoing proxy names are not ours to resolve; there the list of hosts decides.
"""

from collections.abc import Callable
from urllib.request import getproxies, proxy_bypass

import httpx2

from app.domain.network import is_public
from app.http_client.failures import AddressRefused
from app.http_client.public import MOST_ADDRESSES, Lookup, Resolver

# A pool knows a connection by its address, and one address may serve several names: no connection is used twice.
UNSHARED = httpx2.Limits(max_connections=64, max_keepalive_connections=0)


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
        failed: Exception = AddressRefused("private_address" if addresses else "no_address")
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
