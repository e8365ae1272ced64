"""Which proxy the environment asks for."""

import pytest

from app.http_client.client import read_url
from app.http_client.proxies import proxy_of, socks_connector

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


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


@pytest.mark.parametrize("proxy", ["socks4://proxy:1", "socks://proxy:1"])
def test_another_socks_is_refused(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would have to resolve names here."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    named = proxy_of(read_url("https://rest.fal.ai/"))
    assert named is not None
    with pytest.raises(ValueError, match="socks"):
        socks_connector(named)
