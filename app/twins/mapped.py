"""The way from a server to the CDN's twin: what is asked of fal's CDN is asked on loopback. Rules of URLs stay."""

import ssl
from typing import Final
from urllib.parse import urlsplit

import httpx2

from app.domain.network import is_loopback

HOSTS: Final = ("v3.fal.media", "v3b.fal.media")  # where fal's files lie, docs/fal.md


class MappedTransport(httpx2.AsyncBaseTransport):
    """Sends what is meant for `hosts` to a twin's base URL, and nothing to anybody else.

    Raises ValueError for a base URL beyond this machine.
    """

    def __init__(self, base_url: str, hosts: tuple[str, ...] = HOSTS) -> None:
        if not is_loopback(urlsplit(base_url).hostname):
            msg = "a twin is on this machine"
            raise ValueError(msg)
        self._base = httpx2.URL(base_url)
        self._hosts = hosts
        no_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default one reads every root certificate
        self._inner = httpx2.AsyncHTTPTransport(verify=no_tls)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises httpx2.ConnectError for another host."""
        if request.url.host not in self._hosts:
            raise httpx2.ConnectError("not mapped")
        url = request.url.copy_with(scheme=self._base.scheme, host=self._base.host, port=self._base.port)
        mapped = httpx2.Request(request.method, url, headers=request.headers, extensions=request.extensions)
        return await self._inner.handle_async_request(mapped)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()
