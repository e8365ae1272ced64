"""The way out: names resolved here, every address checked, the connection pinned to what was checked."""

import asyncio
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx2
import pytest
import trustme

from app.domain.artifact import ArtifactLook, Sight
from app.fal import pinned
from app.fal.cdn import FalCdn
from app.fal.pinned import PinnedTransport
from app.http_client.failures import AddressRefused
from app.http_client.public import MOST_ADDRESSES, MOST_LOOKUPS, Resolver
from app.twins.cdn import CdnTwin
from app.twins.serving import serve
from tests.domain.url_forms import HOSTS

pytestmark = pytest.mark.anyio

NAME = "v3.fal.media"
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
class Wire(httpx2.AsyncBaseTransport):
    """Remembers where a connection would go; those in `dead` take none."""

    dead: Sequence[str] = ()
    asked: list[httpx2.Request] = field(default_factory=list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        if request.url.host in self.dead:
            raise httpx2.ConnectError("refused")
        return httpx2.Response(200, headers={"content-length": "7"})

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.asked]


def direct(names: Names, wire: httpx2.AsyncBaseTransport) -> PinnedTransport:
    return PinnedTransport(names, wire, proxy_of=lambda _host: None)


async def look(way: PinnedTransport, url: str = URL) -> ArtifactLook:
    return await FalCdn(HOSTS, way).look(url, 5.0)


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """Host and the name in TLS stay the URL's; the address is DNS's first (fault 50)."""
    names, wire = Names([[PUBLIC, V6]]), Wire()
    assert await look(direct(names, wire)) == ArtifactLook(Sight.SEEN)
    [sent] = wire.asked
    assert (sent.url.host, sent.url.path, sent.headers["host"]) == (PUBLIC, PATH, NAME)
    assert sent.extensions["sni_hostname"] == NAME
    assert names.asked == [NAME]


async def test_an_ipv6_address_is_pinned_alike() -> None:
    """The address stands in brackets in the URL, and the name where it stood."""
    wire = Wire()
    assert await look(direct(Names([[V6]]), wire)) == ArtifactLook(Sight.SEEN)
    assert (wire.asked[0].url.host, wire.asked[0].url.netloc) == (V6, f"[{V6}]".encode())
    assert wire.asked[0].headers["host"] == NAME


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
    ],
    ids=",".join,
)
async def test_a_name_that_leads_inside_is_not_followed(addresses: list[str]) -> None:
    """One private address among a listed name's is enough: no connection is opened to any of them (fault 50)."""
    wire = Wire()
    assert await look(direct(Names([addresses]), wire)) == ArtifactLook(Sight.UNREACHABLE, "private_address")
    assert wire.asked == []


async def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """DNS says public, then private: the look uses what it checked, the next one checks anew (fault 50)."""
    names, wire = Names([[PUBLIC], ["127.0.0.1"]]), Wire()
    way = direct(names, wire)
    assert await look(way) == ArtifactLook(Sight.SEEN)
    assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "private_address")
    assert wire.hosts == [PUBLIC]


async def test_a_name_without_an_address_is_unreachable() -> None:
    """DNS has none, or does not answer."""
    assert await look(direct(Names([[]]), Wire())) == ArtifactLook(Sight.UNREACHABLE, "no_address")


async def test_the_next_address_is_tried() -> None:
    """A dead machine among several is passed over."""
    wire = Wire(dead=[PUBLIC])
    assert await look(direct(Names([[PUBLIC, OTHER]]), wire)) == ArtifactLook(Sight.SEEN)
    assert wire.hosts == [PUBLIC, OTHER]


async def test_not_all_addresses_are_tried() -> None:
    """A name with many dead addresses costs four connections."""
    many = [f"34.117.59.{number}" for number in range(1, 20)]
    wire = Wire(dead=many)
    assert await look(direct(Names([many]), wire)) == ArtifactLook(Sight.UNREACHABLE, "unreachable")
    assert wire.hosts == many[:MOST_ADDRESSES]


async def test_a_name_in_punycode_stays_as_it_is_on_the_wire() -> None:
    """What is looked up and named in TLS is what the URL says, not its decoded form."""
    names, wire = Names([[PUBLIC]]), Wire()
    await look(direct(names, wire), "https://xn--80ak6aa92e.fal.media/a")
    assert names.asked == ["xn--80ak6aa92e.fal.media"]
    assert wire.asked[0].extensions["sni_hostname"] == names.asked[0]


async def test_certificates_are_loaded_when_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that looks at nothing holds no second set of trust anchors; one that looks holds one."""
    made: list[Wire] = []

    def make(**_: object) -> Wire:
        made.append(Wire())
        return made[-1]

    monkeypatch.setattr(httpx2, "AsyncHTTPTransport", make)
    way = PinnedTransport(Names([[PUBLIC]]), proxy_of=lambda _host: None)
    assert made == []
    await look(way)
    await look(way)
    await way.aclose()
    assert [wire.hosts for wire in made] == [[PUBLIC, PUBLIC]]


@dataclass
class Rerouted(httpx2.AsyncBaseTransport):
    """The real client, with the public address standing for a port of this machine."""

    port: int
    trusted: ssl.SSLContext

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        assert request.url.host == PUBLIC
        url = request.url.copy_with(host="127.0.0.1", port=self.port)
        inner = httpx2.AsyncHTTPTransport(verify=self.trusted, limits=pinned.UNSHARED)
        return await inner.handle_async_request(
            httpx2.Request(request.method, url, headers=request.headers, extensions=request.extensions)
        )


@pytest.mark.parametrize(
    ("certified", "found"),
    [
        (NAME, ArtifactLook(Sight.SEEN)),
        ("evil.kz", ArtifactLook(Sight.UNREACHABLE, "unreachable")),
        (PUBLIC, ArtifactLook(Sight.UNREACHABLE, "unreachable")),
    ],
)
async def test_the_certificate_must_be_the_name_s(certified: str, found: ArtifactLook) -> None:
    """TLS is checked against the name, not against the address that is connected to (fault 50)."""
    authority = trustme.CA()
    server, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert(certified).configure_cert(server)
    authority.configure_trust(trusted)
    async with serve(CdnTwin().app, tls=server) as base_url:
        port = httpx2.URL(base_url).port
        assert port is not None
        assert await look(direct(Names([[PUBLIC]]), Rerouted(port, trusted))) == found


@dataclass
class Proxy:
    """An outgoing proxy that writes down what it is asked and refuses."""

    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().partition("\r\n")[0])
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("no_proxy")
async def test_behind_a_proxy_the_proxy_resolves(monkeypatch: pytest.MonkeyPatch) -> None:
    """With HTTPS_PROXY the name goes to the proxy and is not looked up here; the list of hosts has decided before."""
    proxy, names = Proxy(), Names([["127.0.0.1"]])
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{port}")
        way = PinnedTransport(names)
        for _ in range(2):
            assert await look(way) == ArtifactLook(Sight.UNREACHABLE, "unreachable")
        assert (await look(way, "https://evil.kz/a")).sight is Sight.ABSENT
        await way.aclose()
    assert proxy.asked == [f"CONNECT {NAME}:443 HTTP/1.1"] * 2
    assert names.asked == []


@pytest.mark.usefixtures("no_proxy")
async def test_a_host_without_proxy_is_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY takes the CDN out of the proxy's hands: its name is resolved and checked here."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", ".fal.media")
    names, wire = Names([[PUBLIC]]), Wire()
    assert await look(PinnedTransport(names, wire)) == ArtifactLook(Sight.SEEN)
    assert wire.hosts == [PUBLIC]


async def test_the_system_s_answer_is_not_trusted() -> None:
    """A listed name that this machine's own resolver sends to loopback is refused like any other (fault 50)."""
    found = await Resolver().addresses("localhost")
    assert set(found) <= {"127.0.0.1", "::1"}
    with pytest.raises(AddressRefused, match="private_address"):
        await direct(Names([list(found)]), Wire()).handle_async_request(httpx2.Request("HEAD", URL))


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
