"""Which proxy the environment asks for."""

import asyncio
from base64 import b64encode
from contextlib import suppress

import aiohttp
import pytest
from aiohttp_socks import ProxyConnectionError, ProxyError, ProxyTimeoutError

from app.http_client.client import HttpClient, read_url
from app.http_client.failures import HttpFailed
from app.http_client.proxies import proxy_of

pytestmark = pytest.mark.anyio

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def http() -> HttpClient:
    return HttpClient({}, connections=4, connect_seconds=5, read_seconds=5)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("environment", "url", "expected"),
    [
        ({}, "https://rest.fal.ai/", None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "https://rest.fal.ai/", "http://proxy:3128"),
        ({"https_proxy": "proxy:3128"}, "https://rest.fal.ai/", "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://a:1", "https_proxy": "http://b:2"}, "https://rest.fal.ai/", "http://b:2"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "https://rest.fal.ai/", None),
        ({"ALL_PROXY": "socks5h://u:p@proxy:1080"}, "https://rest.fal.ai/", "socks5h://u:p@proxy:1080"),
        ({"ALL_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "https://rest.fal.ai/", "http://b:2"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".fal.ai"}, "https://rest.fal.ai/", None),
        ({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "fal.ai:443"}, "https://rest.fal.ai/", None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, "https://rest.fal.ai/", None),
        (
            {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,[::1"},
            "https://rest.fal.ai/",
            "http://proxy:3128",
        ),
        ({"HTTPS_PROXY": ""}, "https://rest.fal.ai/", None),
    ],
)
def test_the_environment_names_the_proxy(
    environment: dict[str, str], url: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small letters before capitals, the scheme's own before ALL_PROXY, and NO_PROXY before all (fault 60)."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_of(read_url(url))
    assert (None if proxy is None else str(proxy)) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "[::1]", "localhost", "localhost."])
def test_no_proxy_hears_of_loopback(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment names: a proxy could reach another machine's loopback only."""
    for name in NAMES:
        monkeypatch.setenv(name, "" if name == "no_proxy" else "http://203.0.113.1:3128")
    assert proxy_of(read_url(f"http://{host}:8080/jwks")) is None
    assert proxy_of(read_url("https://rest.fal.ai/")) is not None


@pytest.mark.parametrize("proxy", ["socks4://u:CANARY@proxy:1", "ftp://proxy", "http://", "http://proxy:CANARY"])
async def test_a_proxy_that_cannot_be_used_is_a_failure(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent past it, and its password is not told."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    async with http() as client:
        with pytest.raises(HttpFailed, match=r"^ProxyError$") as failed:
            await client.ask("GET", read_url("https://rest.fal.test/"), limit=10)
    assert not failed.value.has_left


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (ProxyConnectionError("CANARY"), "ConnectError"),
        (ProxyTimeoutError("CANARY"), "ConnectTimeout"),
        (ProxyError("CANARY"), "ProxyError"),
        (aiohttp.ConnectionTimeoutError("CANARY"), "ConnectTimeout"),
    ],
)
async def test_a_socks_proxy_that_fails_is_a_failure(
    error: Exception, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing has left: the proxy is away, silent, or refuses; its words are not told."""

    async def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(aiohttp.BaseConnector, "connect", fail)
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy:1080")
    async with http() as client:
        with pytest.raises(HttpFailed, match=f"^{why}$") as failed:
            await client.ask("GET", read_url("https://rest.fal.test/"), limit=10)
    assert not failed.value.has_left
    assert failed.value.__cause__ is None


async def test_roots_that_are_not_there_are_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, and others are not believed instead."""
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
    async with http() as client:
        with pytest.raises(HttpFailed, match=r"^ConnectError$") as failed:
            await client.ask("GET", read_url("https://rest.fal.test/"), limit=10)
    assert not failed.value.has_left


@pytest.mark.parametrize(
    ("url", "line"), [("http://fal.test/a?b", "GET http://fal.test/a?b"), ("https://fal.test/", "CONNECT fal.test:443")]
)
async def test_a_proxy_gets_its_password(url: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stands in the proxy's address in %-codes, and goes to the proxy only."""
    heads: list[list[str]] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"))
        writer.write(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as listening, http() as client:
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("ALL_PROXY", f"http://name:p%40ss@127.0.0.1:{port}")
        with suppress(HttpFailed):
            await client.ask("GET", read_url(url), limit=10)
    assert heads[0][0] == f"{line} HTTP/1.1"
    assert f"Proxy-Authorization: Basic {b64encode(b'name:p@ss').decode()}" in heads[0]
    assert not [each for each in heads[0] if each.startswith("Authorization")]
