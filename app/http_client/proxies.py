"""The proxy that the environment asks for: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, in capitals or not."""

from urllib.request import getproxies, proxy_bypass

from yarl import URL

from app.domain.network import is_loopback

SOCKS = ("socks5", "socks5h")
SCHEMES = ("http", "https", *SOCKS)


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


def _is_exempt(url: URL) -> bool:
    host = url.raw_host or ""
    return bool(proxy_bypass(host if ":" in host else f"{host}:{url.port}"))
