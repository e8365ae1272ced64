"""Images that are fetched from fal's CDN, played by its twin: only from its hosts, only whole, only so large."""

from contextlib import aclosing

import pytest

from app.fal import cdn as cdn_module
from app.fal.cdn import FalCdn
from app.twins.bodies import IMAGE_BYTES
from app.twins.cdn import DOWN, GONE, MISSING, MOVED, PRIVATE, CdnOddity, CdnTwin
from app.twins.faults import Fault, Hang
from app.twins.mapped import MappedWay
from tests.domain.url_forms import HOSTS, REFUSED

pytestmark = pytest.mark.anyio

PATH = "/files/penguin/1.jpg"
URL = f"https://v3.fal.media{PATH}"


async def fetched(cdn: CdnTwin, url: str = URL, limit: int = 10_000_000) -> bytes | None:
    async with cdn.serve() as base_url:
        store = FalCdn(HOSTS, MappedWay(base_url))
        try:
            return await store.fetch(url, limit)
        finally:
            await store.aclose()


async def test_a_file_comes_whole() -> None:
    """One GET, and every byte of it."""
    cdn = CdnTwin()
    body = await fetched(cdn)
    assert body is not None
    assert len(body) == IMAGE_BYTES
    assert [call.name for call in cdn.calls] == ["get"]


@pytest.mark.parametrize("limit", [IMAGE_BYTES - 1, 1])
async def test_a_larger_file_is_not_fetched(limit: int) -> None:
    """It says how long it is, and no more is read."""
    assert await fetched(CdnTwin(), limit=limit) is None


async def test_a_file_of_the_very_size_is_fetched() -> None:
    """The limit itself is no more than the limit."""
    assert await fetched(CdnTwin(), limit=IMAGE_BYTES) is not None


@pytest.mark.parametrize("fault", [MISSING, GONE, MOVED, DOWN, PRIVATE])
async def test_what_is_not_given_is_not_there(fault: Fault) -> None:
    """404, 410, a redirect (never followed), 5xx and 403: None, whatever their bodies hold."""
    cdn = CdnTwin()
    cdn.faults[PATH] = fault
    assert await fetched(cdn) is None
    assert len(cdn.calls) == 1


async def test_an_empty_file_is_none() -> None:
    """Nothing can be shown of it."""
    cdn = CdnTwin()
    cdn.lengths[PATH] = 0
    assert await fetched(cdn) is None


async def test_a_cdn_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """After FETCH_SECONDS, so that the links go out in the same try."""
    monkeypatch.setattr(cdn_module, "FETCH_SECONDS", 0.2)
    cdn = CdnTwin()
    cdn.faults[PATH] = Hang()
    assert await fetched(cdn) is None


async def test_nobody_else_is_asked() -> None:
    """Other hosts, addresses, ports, schemes and user names: not one request."""
    cdn = CdnTwin()
    async with cdn.serve() as base_url, aclosing(FalCdn(HOSTS, MappedWay(base_url))) as store:
        for url, _ in REFUSED:
            assert await store.fetch(url, IMAGE_BYTES) is None, url
            assert cdn.calls == [], url


async def test_oddities_of_head_do_not_matter() -> None:
    """A CDN that takes GET only gives the file all the same."""
    cdn = CdnTwin()
    cdn.oddities[PATH] = CdnOddity.HEAD_REFUSED
    assert await fetched(cdn) is not None
