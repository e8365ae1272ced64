import asyncio
from collections.abc import Sequence
from typing import Any, Never

import pytest
from starlette.types import Receive, Scope, Send

from app.server.proxies import ClientAddress

TRUSTED = ("127.0.0.1", "::1", "10.0.0.0/8")
NGINX = ("127.0.0.1", 40000)


def _seen(
    peer: tuple[str, int] | None,
    *headers: tuple[str, str],
    trusted: Sequence[str] = TRUSTED,
    server: tuple[str, int | None] = ("127.0.0.1", 8443),
) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.update(scope)

    async def nothing(*_: object) -> Never:
        raise AssertionError

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": "http", "client": peer, "server": server, "scheme": "http", "headers": raw}
    asyncio.run(ClientAddress(app, trusted)(scope, nothing, nothing))
    return seen


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X-Real-IP", "Forwarded", "X-Client-IP"])
def test_a_stranger_cannot_choose_an_address(name: str) -> None:
    """From a peer that is no listed proxy every address header is ignored, the scheme as well (fault 36)."""
    seen = _seen(("203.0.113.9", 5), (name, "10.0.0.1"), ("X-Forwarded-Proto", "https"))
    assert seen["client"] == ("203.0.113.9", 5)
    assert seen["scheme"] == "http"


def test_behind_a_proxy_without_headers_nobody_is_believed() -> None:
    """Where TLS is passed on unread, trusting 192.0.2.1 alone keeps clients from naming themselves (fault 36)."""
    assert _seen(NGINX, ("X-Forwarded-For", "203.0.113.9"))["client"] == ("203.0.113.9", 0)
    assert _seen(NGINX, ("X-Forwarded-For", "203.0.113.9"), trusted=("192.0.2.1",))["client"] == NGINX


@pytest.mark.parametrize("name", ["X-Real-IP", "Forwarded", "X-Client-IP"])
def test_only_one_header_is_read(name: str) -> None:
    """Even a proxy is believed in X-Forwarded-For only (fault 36)."""
    assert _seen(NGINX, (name, "203.0.113.9"))["client"] == NGINX


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("8.8.8.8, 203.0.113.9", "203.0.113.9"),
        ("8.8.8.8, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("not-an-ip, 203.0.113.9, 10.1.2.3, 127.0.0.1", "203.0.113.9"),
        ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, ::ffff:10.0.0.1", "203.0.113.9"),
        ("2001:DB8::1", "2001:db8::1"),
        ("  203.0.113.9\t", "203.0.113.9"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("203.0.113.9:0", "203.0.113.9"),
        ("203.0.113.9:65535, 10.0.0.1:80", "203.0.113.9"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[::ffff:203.0.113.9]:443", "203.0.113.9"),
        ("2001:db8::1:443", "2001:db8::1:443"),
        ("203.0.113.9,", "203.0.113.9"),
        (",203.0.113.9, ,\t,", "203.0.113.9"),
        ("8.8.8.8,,203.0.113.9:1,, 127.0.0.1:2,", "203.0.113.9"),
    ],
)
def test_the_first_untrusted_hop_from_the_right_is_the_client(value: str, client: str) -> None:
    """Behind a listed proxy the right-most hop that is no proxy is the client, unmapped (fault 36)."""
    assert _seen(NGINX, ("X-Forwarded-For", value))["client"] == (client, 0)


@pytest.mark.parametrize(
    "value",
    [
        "not-an-ip",
        "",
        ",",
        " , ,\t",
        "203.0.113.9, unknown",
        "203.0.113.9, unknown,",
        "203.0.113.9, unix:",
        "203.0.113.9:",
        "203.0.113.9:65536",
        "203.0.113.9:http",
        "203.0.113.9:-1",
        "203.0.113.9:1:2",
        "203.0.113.9 :1",
        "[203.0.113.9]",
        "[203.0.113.9]:1",
        "[2001:db8::1",
        "2001:db8::1]",
        "[2001:db8::1]443",
        "[2001:db8::1%eth0]:443",
        "[]",
        "[::]:99999",
        '"[2001:db8::1]:4711"',
        "for=203.0.113.9",
        "_hidden:1",
        "fe80::1%eth0",
        "0x7f.0.0.1",
        "2130706433",
        "127.1",
        "010.0.0.1",
        "1.2.3.4.5",
        "\xb2.2.2.2",
        "203.0.113.9\x00",
    ],
)
def test_an_unparsable_hop_makes_the_client_unknown(value: str) -> None:
    """A hop from a proxy that is no plain address makes the client unknown, which is denied (fault 36)."""
    assert _seen(NGINX, ("X-Forwarded-For", value))["client"] is None


def test_several_headers_are_one_list() -> None:
    """Repeated X-Forwarded-For headers are one list in their order (fault 36)."""
    seen = _seen(NGINX, ("X-Forwarded-For", "8.8.8.8"), ("X-Forwarded-For", "203.0.113.9"))
    assert seen["client"] == ("203.0.113.9", 0)


def test_nothing_but_proxies_leaves_the_peer() -> None:
    """A list of proxies only leaves the peer as it is, and so does no header at all."""
    assert _seen(NGINX, ("X-Forwarded-For", "10.0.0.1, 127.0.0.1"))["client"] == NGINX
    assert _seen(NGINX)["client"] == NGINX


@pytest.mark.parametrize(
    ("value", "scheme"),
    [("https", "https"), ("HTTPS", "https"), ("http, https", "https"), ("ftp", "http"), ("", "http")],
)
def test_the_scheme_comes_from_the_nearest_proxy(value: str, scheme: str) -> None:
    """X-Forwarded-Proto of a listed proxy sets http or https and nothing else."""
    assert _seen(NGINX, ("X-Forwarded-Proto", value))["scheme"] == scheme


def test_a_mapped_peer_is_unmapped() -> None:
    """On a dual-stack socket an IPv4 peer is shown, and trusted, as IPv4 (fault 36)."""
    assert _seen(("::ffff:203.0.113.9", 5))["client"] == ("203.0.113.9", 5)
    seen = _seen(("::ffff:127.0.0.1", 5), ("X-Forwarded-For", "203.0.113.9"))
    assert seen["client"] == ("203.0.113.9", 0)


def test_a_unix_peer_is_trusted_only_when_listed() -> None:
    """A peer on a Unix socket has no address, and is believed only when `unix` is listed (fault 36)."""
    headers = ("X-Forwarded-For", "203.0.113.9")
    socket = ("/run/aisha.sock", None)
    assert _seen(None, headers, server=socket)["client"] is None
    assert _seen(None, headers, server=socket, trusted=("unix",))["client"] == ("203.0.113.9", 0)
    assert _seen(None, headers, trusted=("unix",))["client"] is None


def test_a_peer_that_is_no_address_is_not_trusted() -> None:
    """A test client's made-up peer passes unchanged and untrusted."""
    assert _seen(("testclient", 50000), ("X-Forwarded-For", "8.8.8.8"))["client"] == ("testclient", 50000)


@pytest.mark.parametrize("name", ["*", "nginx", "", "10.0.0.0/33"])
def test_a_proxy_list_names_addresses_only(name: str) -> None:
    """`*` and names are refused as proxies: each would let a caller choose its own address (fault 36)."""
    with pytest.raises(ValueError, match="does not appear to be"):
        _seen(NGINX, trusted=(name,))


def test_lifespan_passes_untouched() -> None:
    """The application's own start has no client."""
    passed: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        passed.append(scope)

    async def nothing(*_: object) -> Never:
        raise AssertionError

    asyncio.run(ClientAddress(app, TRUSTED)({"type": "lifespan"}, nothing, nothing))
    assert passed == [{"type": "lifespan"}]
