"""The way from a server to the CDN's twin: what is asked of fal's CDN is asked on loopback. Rules of URLs stay."""

from typing import Final
from urllib.parse import urlsplit

from app.domain.network import is_loopback
from app.http_client.client import Address, Headers, HttpClient, HttpReply, OnHead, read_url
from app.http_client.failures import HttpFailed

HOSTS: Final = ("v3.fal.media", "v3b.fal.media")  # where fal's files lie, docs/fal.md
SECONDS: Final = 60.0  # of one wait; who asks is less patient


class MappedWay:
    """Sends what is meant for `hosts` to a twin's base URL, and nothing to anybody else.

    Raises ValueError for a base URL beyond this machine.
    """

    def __init__(self, base_url: str, hosts: tuple[str, ...] = HOSTS) -> None:
        if not is_loopback(urlsplit(base_url).hostname):
            msg = "a twin is on this machine"
            raise ValueError(msg)
        self._base = read_url(base_url)
        self._hosts = hosts
        self._http = HttpClient({}, connections=64, connect_seconds=SECONDS, read_seconds=SECONDS)

    async def ask(
        self, method: str, url: Address, *, limit: int, headers: Headers | None = None, on_head: OnHead | None = None
    ) -> HttpReply:
        """Send one request, the Host header as it was. Raises HttpFailed, for another host too."""
        host = url.raw_host
        if host not in self._hosts:
            raise HttpFailed("ConnectError")
        sent = {**(headers or {}), "Host": host}
        return await self._http.ask(method, self._base.join(url.relative()), limit=limit, headers=sent, on_head=on_head)

    async def aclose(self) -> None:
        """Close what is open."""
        await self._http.aclose()
