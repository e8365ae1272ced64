"""The way out: names resolved here, every address checked, the connection pinned to what was checked."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme

from app.domain.artifact import ArtifactLook, Sight
from app.fal.cdn import FalCdn, way_out
from app.http_client import client as client_module
from app.http_client.client import HttpClient, read_url
from app.http_client.failures import AddressRefused, HttpFailed
from app.http_client.public import MOST_ADDRESSES, MOST_LOOKUPS, PublicNames, Resolver, public_socket
from tests.domain.url_forms import HOSTS

pytestmark = pytest.mark.anyio

NAME, PUNYCODE = "v3.fal.media", "xn--80ak6aa92e.fal.media"
PATH = "/files/penguin/lora.safetensors"
URL = f"https://{NAME}{PATH}"
PUBLIC, OTHER, V6 = "34.117.59.81", "34.117.59.82", "2606:4700::6810:85e5"
PROXIES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")


@dataclass
class Names:
    """A DNS that answers the given lists one after the other, the last one for ever."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@dataclass
class Internet:
    """This machine in the place of every IPv4 address but the `dead`; remembers who was connected to and asked."""

    dead: Sequence[str] = ()
    hosts: list[str] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)  # in TLS
    heads: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
        await writer.drain()
        writer.close()

    def name(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        self.names.append(name)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@asynccontextmanager
async def online(
    internet: Internet, monkeypatch: pytest.MonkeyPatch, certified: Sequence[str] = (NAME, PUNYCODE)
) -> AsyncIterator[None]:
    """Lead every connection to this machine, which shows a certificate for these names."""
    authority = trustme.CA()
    served, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert(*certified).configure_cert(served)
    authority.configure_trust(trusted)
    served.sni_callback = internet.name
    monkeypatch.setattr(client_module, "trust", lambda: trusted)
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def reroute(sock: socket.socket, address: Any) -> None:
        internet.hosts.append(address[0])
        if address[0] in internet.dead or ":" in address[0]:
            raise ConnectionRefusedError(111, "refused")
        await connect(sock, ("127.0.0.1", internet.port))

    monkeypatch.setattr(loop, "sock_connect", reroute)
    async with await asyncio.start_server(internet.serve, "127.0.0.1", 0, ssl=served) as listening:
        internet.port = listening.sockets[0].getsockname()[1]
        yield


async def look(way: HttpClient, url: str = URL) -> ArtifactLook:
    return await FalCdn(HOSTS, way).look(url, 5.0)


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host and the name in TLS stay the URL's; the address is DNS's first (fault 50)."""
    names, internet = Names([[PUBLIC, V6]]), Internet()
    async with online(internet, monkeypatch), way_out(names) as way:
        assert await look(way) == ArtifactLook(Sight.SEEN)
    [head] = internet.heads
    assert head.startswith(f"HEAD {PATH} HTTP/1.1\r\nHost: {NAME}\r\n")
    assert (internet.hosts, internet.names, names.asked) == ([PUBLIC], [NAME], [NAME])


async def test_an_ipv6_address_is_pinned_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the one that is connected to."""
    internet = Internet()
    async with online(internet, monkeypatch), way_out(Names([[V6]])) as way:
        assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "unreachable")
    assert internet.hosts == [V6]


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.5"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["::1"],
        ["fe80::1%2"],
        ["::ffff:10.0.0.5"],
        ["64:ff9b::a00:5"],
        [PUBLIC, "192.168.0.1"],
        ["fd00::1", PUBLIC],
        [*[f"34.117.59.{number}" for number in range(1, 20)], "10.0.0.5"],
    ],
    ids=lambda addresses: ",".join(addresses[-2:]),
)
async def test_a_name_that_leads_inside_is_not_followed(addresses: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """One private address among a listed name's is enough: no connection is opened to any of them (fault 50)."""
    internet = Internet()
    async with online(internet, monkeypatch), way_out(Names([addresses])) as way:
        assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "private_address")
    assert internet.hosts == []


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("127.0.0.1", "private_address"),
        ("10.0.0.5", "private_address"),
        ("169.254.169.254", "private_address"),
        ("[::1]", "private_address"),
        ("[::ffff:127.0.0.1]", "private_address"),
        ("[fe80::1]", "private_address"),
        ("2130706433", "InvalidURL"),
        ("127.1", "InvalidURL"),
        ("0177.0.0.1", "InvalidURL"),
    ],
)
async def test_an_address_in_the_place_of_a_name_is_refused_too(
    host: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiohttp asks no resolver about an address: it is judged before, however it is written (fault 50)."""
    names, internet = Names([[PUBLIC]]), Internet()
    async with online(internet, monkeypatch), way_out(names) as way:
        with pytest.raises(HttpFailed, match=f"^{why}$") as refused:
            await way.ask("HEAD", read_url(f"https://{host}{PATH}"), limit=0)
    assert not refused.value.has_left
    assert (internet.hosts, names.asked) == ([], [])


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "2130706433", "10.0.0.5"])
def test_the_last_look_is_at_the_address_that_is_connected_to(address: str) -> None:
    """Whatever way it came, no socket is made for a private address (fault 50)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with pytest.raises(OSError, match="private_address"):
        public_socket((family, socket.SOCK_STREAM, 6, "", (address, 443)))
    public_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC, 443))).close()


async def test_a_name_that_changes_its_mind_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS says public, then private: the look uses what it checked, the next one checks anew (fault 50)."""
    names, internet = Names([[PUBLIC], ["127.0.0.1"]]), Internet()
    async with online(internet, monkeypatch), way_out(names) as way:
        assert await look(way) == ArtifactLook(Sight.SEEN)
        assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "private_address")
    assert internet.hosts == [PUBLIC]


async def test_a_name_without_an_address_is_unreachable() -> None:
    """DNS has none, or does not answer."""
    async with way_out(Names([[]])) as way:
        assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "no_address")


async def test_the_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead machine among several is passed over."""
    internet = Internet(dead=[PUBLIC])
    async with online(internet, monkeypatch), way_out(Names([[PUBLIC, OTHER]])) as way:
        assert await look(way) == ArtifactLook(Sight.SEEN)
    assert internet.hosts == [PUBLIC, OTHER]


async def test_not_all_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with many dead addresses costs four connections, each tried at most once an attempt."""
    many = [f"34.117.59.{number}" for number in range(1, 20)]
    internet = Internet(dead=many)
    async with online(internet, monkeypatch), way_out(Names([many])) as way:
        assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "unreachable")
    assert set(internet.hosts) == set(many[:MOST_ADDRESSES])


async def test_a_name_in_punycode_stays_as_it_is_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked up and named in TLS is what the URL says, not its decoded form."""
    names, internet = Names([[PUBLIC]]), Internet()
    async with online(internet, monkeypatch), way_out(names) as way:
        assert await look(way, f"https://{PUNYCODE}/a") == ArtifactLook(Sight.SEEN)
    assert (names.asked, internet.names) == ([PUNYCODE], [PUNYCODE])


async def test_certificates_are_loaded_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that looks at nothing holds no trust anchors for it."""
    loaded: list[ssl.SSLContext] = []

    def trust() -> ssl.SSLContext:
        loaded.append(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        return loaded[-1]

    internet = Internet()
    async with online(internet, monkeypatch), way_out(Names([[PUBLIC]])) as way:
        monkeypatch.setattr(client_module, "trust", trust)
        assert loaded == []
        for _ in range(2):
            assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "untrusted")
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("certified", "found"),
    [
        (NAME, ArtifactLook(Sight.SEEN)),
        ("evil.kz", ArtifactLook(Sight.UNREACHABLE, "untrusted")),
        (PUBLIC, ArtifactLook(Sight.UNREACHABLE, "untrusted")),
    ],
)
async def test_the_certificate_must_be_the_name_s(
    certified: str, found: ArtifactLook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS is checked against the name, not against the address that is connected to (fault 50)."""
    async with online(Internet(), monkeypatch, [certified]), way_out(Names([[PUBLIC]])) as way:
        assert await look(way) == found


@dataclass
class Proxy:
    """An outgoing proxy that writes down what it is asked and refuses."""

    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")[0])
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


async def test_behind_a_proxy_the_proxy_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTPS_PROXY the name goes to the proxy and is not looked up here; the list of hosts has decided before."""
    proxy, names = Proxy(), Names([["127.0.0.1"]])
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        async with way_out(names) as way:
            for _ in range(2):
                assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "unreachable")
            assert (await look(way, "https://evil.kz/a")).sight is Sight.ABSENT
    assert proxy.asked == [f"CONNECT {NAME}:443 HTTP/1.1"] * 2
    assert names.asked == []


async def test_a_host_without_proxy_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY takes the CDN out of the proxy's hands: its name is resolved and checked here."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", ".fal.media")
    internet = Internet()
    async with online(internet, monkeypatch), way_out(Names([[PUBLIC]])) as way:
        assert await look(way) == ArtifactLook(Sight.SEEN)
    assert internet.hosts == [PUBLIC]


async def test_the_system_s_answer_is_not_trusted() -> None:
    """A listed name that this machine's own resolver sends to loopback is refused like any other (fault 50)."""
    found = await Resolver().addresses("localhost")
    assert set(found) <= {"127.0.0.1", "::1"}
    with pytest.raises(AddressRefused, match="private_address"):
        await PublicNames(Names([list(found)])).resolve(NAME)


async def test_who_asks_for_the_same_name_waits_for_the_same_answer() -> None:
    """A hundred looks at one CDN cost one lookup, and one look that is cut off spoils none of the others."""
    go, asked = threading.Event(), []

    def ask(host: str) -> list[str]:
        asked.append(host)
        go.wait(10)
        return [PUBLIC]

    resolver = Resolver(ask)
    waiting = [asyncio.ensure_future(resolver.addresses(NAME)) for _ in range(100)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    go.set()
    assert await asyncio.gather(*waiting[1:]) == [[PUBLIC]] * 99
    assert asked == [NAME]
    assert await resolver.addresses(NAME) == [PUBLIC]
    assert asked == [NAME, NAME]


async def test_a_resolver_that_hangs_holds_few_threads() -> None:
    """Names beyond the eighth are refused until an answer comes; a name that cannot be asked has no address."""
    go = threading.Event()

    def ask(host: str) -> list[str]:
        go.wait(10)
        raise OSError(host)

    resolver = Resolver(ask)
    waiting = [asyncio.ensure_future(resolver.addresses(f"v{number}.fal.media")) for number in range(MOST_LOOKUPS)]
    await asyncio.sleep(0)
    with pytest.raises(AddressRefused):
        await resolver.addresses("v99.fal.media")
    go.set()
    assert list(await asyncio.gather(*waiting)) == [()] * MOST_LOOKUPS
