"""The proxy that the environment asks for: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, in capitals or not."""

from typing import Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from aiohttp_socks import ProxyType
from yarl import URL

from app.domain.network import is_loopback
from app.http_client.connectors import SocksConnector

SOCKS = ("socks5", "socks5h")
SCHEMES = ("http", "https", *SOCKS)
SOCKS_PORT = 1080


def proxy_of(url: URL) -> URL | None:
    """Name the proxy that leads to a URL, None where nothing stands between. Loopback is spoken to directly.

    Raises ValueError for a proxy whose address cannot be read.
    """
    if is_loopback(url.raw_host):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy or _is_exempt(url):
        return None
    read = URL(proxy if "://" in proxy else f"http://{proxy}")
    if read.scheme not in SCHEMES or not read.raw_host:
        raise ValueError(read.scheme)
    return read


def is_socks(proxy: URL) -> bool:
    """Tell whether a proxy speaks SOCKS."""
    return proxy.scheme in SOCKS


def socks_connector(proxy: URL, **options: Any) -> SocksConnector:
    """Make what connects through a SOCKS5 proxy; the proxy resolves names, as `socks5h` says and `socks5` may."""
    return SocksConnector(
        host=proxy.host or "",
        port=proxy.port or SOCKS_PORT,
        proxy_type=ProxyType.SOCKS5,
        username=unquote(proxy.raw_user or ""),
        password=unquote(proxy.raw_password or ""),
        rdns=True,
        **options,
    )


def _is_exempt(url: URL) -> bool:
    host = url.raw_host or ""
    return bool(proxy_bypass(host if ":" in host else f"{host}:{url.port}"))
