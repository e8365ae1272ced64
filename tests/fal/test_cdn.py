"""A look at fal's CDN, played by its twin; every answer that a CDN may give."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from app.domain.artifact import ArtifactLook, Sight
from app.fal.cdn import FalCdn
from app.http_client.failures import AddressRefused, HttpFailed
from app.twins.bodies import LORA_BYTES
from app.twins.cdn import DOWN, GONE, MISSING, MOVED, PRIVATE, CdnOddity, CdnTwin
from app.twins.faults import Fault, Hang, Instead, Slow
from app.twins.mapped import MappedWay
from tests.domain.url_forms import HOSTS, REFUSED
from tests.http_fake import Asked, Given, http_of

pytestmark = pytest.mark.anyio

PATH = "/files/penguin/lora.safetensors"
URL = f"https://v3.fal.media{PATH}"
SOON = 5.0  # s


@dataclass
class Recording:
    """Answers as it was told to, and remembers what it was asked."""

    answer: Callable[[], Given] | Exception = lambda: Given(200, content=b"lora")
    asked: list[Asked] = field(default_factory=list)

    def __call__(self, request: Asked) -> Given:
        self.asked.append(request)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer()


@pytest.fixture
def cdn() -> CdnTwin:
    return CdnTwin()


async def look(cdn: CdnTwin, within: float = SOON, url: str = URL) -> ArtifactLook:
    async with cdn.serve() as base_url:
        eye = FalCdn(HOSTS, MappedWay(base_url))
        try:
            return await eye.look(url, within)
        finally:
            await eye.aclose()


def asked(cdn: CdnTwin) -> list[tuple[str, int | None]]:
    return [(call.name, call.status) for call in cdn.calls]


async def test_a_file_that_is_there_is_seen(cdn: CdnTwin) -> None:
    """One HEAD, and nothing of the file is fetched."""
    assert await look(cdn) == ArtifactLook(Sight.SEEN)
    assert asked(cdn) == [("head", 200)]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (MISSING, ArtifactLook(Sight.ABSENT, "http_404")),
        (GONE, ArtifactLook(Sight.ABSENT, "http_410")),
        (MOVED, ArtifactLook(Sight.ABSENT, "redirect")),
        (Instead(301), ArtifactLook(Sight.ABSENT, "redirect")),
        (Instead(204), ArtifactLook(Sight.ABSENT, "empty")),
        (DOWN, ArtifactLook(Sight.UNREACHABLE, "http_503")),
        (Instead(500), ArtifactLook(Sight.UNREACHABLE, "http_500")),
        (Instead(429), ArtifactLook(Sight.UNREACHABLE, "http_429")),
        (Instead(401), ArtifactLook(Sight.UNREACHABLE, "http_401")),
        (Instead(400), ArtifactLook(Sight.UNREACHABLE, "http_400")),
        (PRIVATE, ArtifactLook(Sight.UNREACHABLE, "http_403")),
        (Instead(501), ArtifactLook(Sight.UNREACHABLE, "http_501")),
        (Instead(405), ArtifactLook(Sight.UNREACHABLE, "http_405")),
    ],
    ids=str,
)
async def test_each_answer_says_one_thing(cdn: CdnTwin, fault: Fault, found: ArtifactLook) -> None:
    """Gone and moved are absent, what says nothing of the file unreachable; no redirect is followed (fault 50)."""
    cdn.faults[PATH] = fault
    assert await look(cdn) == found
    assert {call.path for call in cdn.calls} == {PATH}


async def test_an_empty_file_is_absent(cdn: CdnTwin) -> None:
    """A CDN that knows the name but holds no byte has no LoRA."""
    cdn.lengths[PATH] = 0
    assert await look(cdn) == ArtifactLook(Sight.ABSENT, "empty")


@pytest.mark.parametrize("oddity", CdnOddity)
@pytest.mark.parametrize(
    ("length", "found"),
    [(LORA_BYTES, ArtifactLook(Sight.SEEN)), (1, ArtifactLook(Sight.SEEN)), (0, ArtifactLook(Sight.ABSENT, "empty"))],
)
async def test_where_head_does_not_tell_one_byte_does(
    cdn: CdnTwin, oddity: CdnOddity, length: int, found: ArtifactLook
) -> None:
    """A refused HEAD, one without a length, and a CDN that ignores ranges: one GET more, ended at the first bytes."""
    cdn.oddities[PATH], cdn.lengths[PATH] = oddity, length
    assert await look(cdn) == found
    assert [call.name for call in cdn.calls] == ["head", "get"]


async def test_only_a_byte_that_came_proves_a_file() -> None:
    """A CDN that answers 200 to HEAD without a length, and sends nothing, has no file."""
    assert await FalCdn(HOSTS, http_of(lambda _: Given(200))).look(URL, SOON) == ArtifactLook(Sight.ABSENT, "empty")


@pytest.mark.parametrize("fault", [Hang(), Slow(1.0)], ids=str)
async def test_a_look_ends_in_time(cdn: CdnTwin, fault: Fault) -> None:
    """A CDN that hangs or is slower than the look may take is unreachable."""
    cdn.faults[PATH] = fault
    assert await look(cdn, within=0.05) == ArtifactLook(Sight.UNREACHABLE, "timeout")


async def test_a_slow_answer_within_the_time_counts(cdn: CdnTwin) -> None:
    """Late is not absent."""
    cdn.faults[PATH] = Slow(0.02)
    assert await look(cdn) == ArtifactLook(Sight.SEEN)


async def test_nobody_at_the_other_end_is_unreachable() -> None:
    """A refused connection says nothing about the file."""
    async with CdnTwin().serve() as base_url:
        pass
    eye = FalCdn(HOSTS, MappedWay(base_url))
    assert await eye.look(URL, SOON) == ArtifactLook(Sight.UNREACHABLE, "unreachable")
    await eye.aclose()


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (HttpFailed("ConnectError"), "unreachable"),
        (HttpFailed("CertificateError"), "untrusted"),
        (HttpFailed("RemoteProtocolError", has_left=True), "unreachable"),
        (HttpFailed("ReadError", has_left=True), "unreachable"),
        (HttpFailed("ProxyError"), "unreachable"),
        (HttpFailed("InvalidURL"), "unreachable"),
        (HttpFailed("ConnectTimeout"), "timeout"),
        (HttpFailed("PoolTimeout"), "timeout"),
        (AddressRefused("no_address"), "no_address"),
    ],
    ids=str,
)
async def test_whatever_breaks_on_the_way_is_unreachable(error: Exception, why: str) -> None:
    """TLS, resets, junk in the place of HTTP, a proxy that refuses: nothing is raised, nothing completed."""
    way = http_of(Recording(error))
    assert await FalCdn(HOSTS, way).look(URL, SOON) == ArtifactLook(Sight.UNREACHABLE, why)


async def test_what_is_no_place_for_an_artifact_is_asked_by_nobody() -> None:
    """No lookup, no connection: the way out is not even touched (fault 50)."""
    for url, why in REFUSED:
        way = Recording()
        assert await FalCdn(HOSTS, http_of(way)).look(url, SOON) == ArtifactLook(Sight.ABSENT, why, is_lasting=True), (
            url,
            why,
        )
        assert way.asked == [], (url, why)


async def test_the_request_carries_nothing_of_ours() -> None:
    """Neither cookie nor key, whatever an answer before it asked to be kept (fault 50)."""
    heads: list[list[str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n"))
        kept = b"Set-Cookie: a=b; Domain=fal.media\r\nContent-Length: 0\r\n"
        writer.write(b"HTTP/1.1 403 Forbidden\r\n" + kept + b"\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as listening:
        way = MappedWay(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        eye = FalCdn(HOSTS, way)
        await eye.look(URL, SOON)
        await eye.aclose()
    (head, *head_lines), (get, *get_lines) = heads
    assert (head, get) == (f"HEAD {PATH} HTTP/1.1", f"GET {PATH} HTTP/1.1")
    assert "Range: bytes=0-0" in get_lines
    assert "Host: v3.fal.media" in head_lines
    names = {line.partition(":")[0].lower() for line in head_lines + get_lines}
    assert names == {"host", "user-agent", "accept", "accept-encoding", "connection", "range"}


async def test_the_twin_is_reached_through_the_rules_only(cdn: CdnTwin) -> None:
    """A server that is led to a twin asks it for nothing that it would not ask fal's CDN for."""
    async with cdn.serve() as base_url:
        eye = FalCdn(HOSTS, MappedWay(base_url))
        port = urlsplit(base_url).port
        for url in (f"http://127.0.0.1:{port}{PATH}", f"https://127.0.0.1:{port}{PATH}", f"https://evil.kz{PATH}"):
            assert (await eye.look(url, SOON)).sight is Sight.ABSENT
        unmapped = await eye.look(f"https://v9.fal.media{PATH}", SOON)
        await eye.aclose()
    assert unmapped == ArtifactLook(Sight.UNREACHABLE, "unreachable")
    assert cdn.calls == []


def test_a_twin_is_on_this_machine() -> None:
    """Nothing can be mapped to another machine."""
    with pytest.raises(ValueError, match="on this machine"):
        MappedWay("https://evil.kz")
