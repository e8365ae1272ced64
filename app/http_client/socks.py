"""Connections through a SOCKS5 proxy, with aiohttp-socks. Imported only where such a proxy is set."""

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import aiohttp
from aiohttp_socks import ProxyConnectionError, ProxyConnector, ProxyError, ProxyTimeoutError, ProxyType
from yarl import URL

from app.http_client.connectors import Looking
from app.http_client.failures import HttpFailed

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

PORT = 1080


class SocksConnector(Looking, ProxyConnector):
    """Through a SOCKS proxy."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: "list[Trace]",
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  the base's signature
    ) -> "Connection":
        """Give a connection, a kept one or a new one. Raises HttpFailed where it is the proxy that fails."""
        try:
            return await super().connect(req, traces, timeout)
        except ProxyError:
            raise HttpFailed("ProxyError") from None
        except ProxyTimeoutError:
            raise HttpFailed("ConnectTimeout") from None
        except ProxyConnectionError:
            raise HttpFailed("ConnectError") from None


def socks_connector(proxy: URL, **options: Any) -> SocksConnector:
    """Make what connects through a SOCKS5 proxy; the proxy resolves names, as `socks5h` says and `socks5` may."""
    return SocksConnector(
        host=proxy.host or "",
        port=proxy.port or PORT,
        proxy_type=ProxyType.SOCKS5,
        username=unquote(proxy.raw_user or ""),
        password=unquote(proxy.raw_password or ""),
        rdns=True,
        **options,
    )
