import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from nacl.signing import SigningKey, VerifyKey
from structlog.testing import capture_logs

from app.fal.addresses import Addresses
from app.fal.client import FetchFailed, get_capped, make_client
from app.fal.keys import Keys
from app.http_client.failures import HttpFailed
from tests.http_fake import Asked, Given, http_of

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NEW, OLD = "https://rest.fal.ai/.well-known/jwks.json", "https://rest.alpha.fal.ai/.well-known/jwks.json"
A, B, C = (SigningKey(bytes([n]) * 32).verify_key for n in (1, 2, 3))


def jwks(*keys: VerifyKey) -> bytes:
    entries = [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "x": urlsafe_b64encode(bytes(k)).decode()} for k in keys]
    return json.dumps({"keys": entries}).encode()


class Fal:
    """fal's key endpoints and the clock: `answers` by host, an answer being (status, body) or an exception."""

    def __init__(self, folder: Path) -> None:
        self.copy = folder / "keys.json"
        self.now = NOW
        self.answers: dict[str, tuple[int, bytes] | Exception] = {"rest.fal.ai": (200, jwks(A, B))}
        self.date: datetime | None = None
        self.calls: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, request: Asked) -> Given:
        self.calls.append(str(request.url.host))
        await self.open.wait()
        answer = self.answers.get(str(request.url.host), (404, b""))
        if isinstance(answer, Exception):
            raise answer
        headers = {"Location": "https://evil.example/jwks"}
        if self.date is not None:
            headers["Date"] = format_datetime(self.date, usegmt=True)
        return Given(answer[0], content=answer[1], headers=headers)

    def keys(self) -> Keys:
        client = http_of(self)
        return Keys([NEW, OLD], self.copy, client, lambda: self.now)


@pytest.fixture
def fal(tmp_path: Path) -> Fal:
    return Fal(tmp_path)


async def test_first_url_wins(fal: Fal) -> None:
    """The first URL that yields a key is enough; the older one is not asked."""
    keys = fal.keys()
    assert (keys.current(), keys.age()) == ((), None)
    assert await keys.refresh()
    assert keys.current() == (A, B)
    assert keys.age() == timedelta(0)
    assert fal.calls == ["rest.fal.ai"]


@pytest.mark.parametrize(
    "trouble",
    [
        (500, jwks(C)),
        (404, b""),
        (301, jwks(C)),
        (200, b"<html>"),
        (200, jwks()),
        (200, jwks() + b" " * 300_000),
        HttpFailed("ConnectError"),
        HttpFailed("ReadTimeout", has_left=True),
    ],
    ids=lambda t: repr(t)[:30],
)
async def test_second_url(fal: Fal, trouble: tuple[int, bytes] | Exception) -> None:
    """Faults 16 and 18: where the first URL is down, redirects or holds no key, the second is asked."""
    fal.answers = {"rest.fal.ai": trouble, "rest.alpha.fal.ai": (200, jwks(B))}
    keys = fal.keys()
    assert await keys.refresh()
    assert keys.current() == (B,)
    assert fal.calls == ["rest.fal.ai", "rest.alpha.fal.ai"]


async def test_plain_http(fal: Fal) -> None:
    """Fault 18: keys are never fetched over plain http from another machine."""
    client = http_of(fal)
    keys = Keys(
        ["http://rest.fal.ai/jwks.json", "file:///etc/passwd", "https://[::1", "nonsense"],
        fal.copy,
        client,
        lambda: fal.now,
    )
    assert not await keys.refresh()
    assert fal.calls == []


async def test_failure_keeps_keys(fal: Fal) -> None:
    """Fault 16: while fal's key endpoint is down, the keys fetched before are still served."""
    keys = fal.keys()
    await keys.refresh()
    fal.answers = {"rest.fal.ai": (500, b"")}
    fal.now += timedelta(hours=23)
    with capture_logs() as logs:
        assert not await keys.refresh()
    assert keys.current() == (A, B)
    assert [entry["event"] for entry in logs] == ["keys.refresh_failed"] * 2
    assert "jwks" not in repr(logs)


async def test_day_limit(fal: Fal) -> None:
    """Keys serve for 24 h and not a second longer, and a fetch brings them back."""
    keys = fal.keys()
    await keys.refresh()
    fal.now += timedelta(hours=24)
    assert keys.current() == (A, B)
    fal.now += timedelta(seconds=1)
    assert keys.current() == ()
    assert keys.age() == timedelta(hours=24, seconds=1)
    assert await keys.ensure()
    assert keys.current() == (A, B)


async def test_clock_stepped_back(fal: Fal) -> None:
    """Fault 15: after the clock steps back, no age is negative and the keys still end after 24 h."""
    keys = fal.keys()
    await keys.refresh()
    fal.now -= timedelta(days=400)
    assert keys.age() == timedelta(0)
    assert keys.current() == (A, B)
    fal.now += timedelta(hours=25)
    assert keys.current() == ()


async def test_rotation(fal: Fal) -> None:
    """Fault 17: right after a scheduled refresh, a delivery by a new key still gets its one refetch."""
    keys = fal.keys()
    await keys.refresh()
    fal.answers = {"rest.fal.ai": (200, jwks(C))}
    assert await keys.refresh_after_failure()
    assert keys.current() == (C,)


async def test_refetch_is_rare(fal: Fal) -> None:
    """Fault 16: a thousand bad signatures cause one fetch in 30 s, whether it succeeds or fails."""
    keys = fal.keys()
    await keys.refresh()
    for answer in ((200, jwks(A, B)), (500, b"")):
        fal.calls.clear()
        fal.answers = {"rest.fal.ai": answer, "rest.alpha.fal.ai": answer}
        for _ in range(500):
            assert not await keys.refresh_after_failure()
        assert fal.calls.count("rest.fal.ai") == 1
        fal.now += timedelta(seconds=29, milliseconds=999)
        await keys.refresh_after_failure()
        assert fal.calls.count("rest.fal.ai") == 1
        fal.now += timedelta(milliseconds=1)
    await keys.refresh_after_failure()
    assert fal.calls.count("rest.fal.ai") == 2
    assert keys.current() == (A, B)


async def test_a_longer_interval_counts_from_the_same_fetch(fal: Fal) -> None:
    """Fault 16: whoever has to wait longer between fetches neither shortens nor lengthens the wait of others."""
    keys = fal.keys()
    await keys.refresh_after_failure()
    fal.now += timedelta(seconds=119)
    await keys.refresh_after_failure(timedelta(minutes=2))
    assert len(fal.calls) == 1
    fal.now += timedelta(seconds=1)
    await keys.refresh_after_failure(timedelta(minutes=2))
    assert len(fal.calls) == 2
    fal.now += timedelta(seconds=30)
    await keys.refresh_after_failure()
    assert len(fal.calls) == 3


@pytest.mark.parametrize(
    "answer", [(200, jwks(A)), (500, b""), (301, b""), (200, b"<html>")], ids=lambda a: repr(a)[:20]
)
async def test_every_answer_tells_the_time(fal: Fal, answer: tuple[int, bytes]) -> None:
    """Fault 15: the Date of any answer of the key endpoint, an error too, measures how far our clock is off."""
    fal.answers = {"rest.fal.ai": answer, "rest.alpha.fal.ai": answer}
    fal.date = NOW - timedelta(seconds=301)
    keys = fal.keys()
    assert keys.clock_offset() is None
    with capture_logs() as logs:
        await keys.refresh()
    offset = keys.clock_offset()
    assert offset is not None
    assert abs(offset - timedelta(seconds=301)) <= timedelta(seconds=1)
    assert [entry["event"] for entry in logs].count("clock.skewed") == 1


async def test_no_answer_tells_no_time(fal: Fal) -> None:
    """Fault 15: while fal is not reached our clock's offset stays unknown."""
    fal.answers = {
        "rest.fal.ai": HttpFailed("ConnectError"),
        "rest.alpha.fal.ai": HttpFailed("ReadTimeout", has_left=True),
    }
    keys = fal.keys()
    await keys.refresh()
    assert keys.clock_offset() is None


async def test_the_address_list_tells_the_time_too(fal: Fal) -> None:
    """Fault 15: the address list's answer measures our clock as well, for the same reader."""
    keys = fal.keys()
    fal.date = NOW + timedelta(seconds=90)
    client = http_of(fal)
    addresses = Addresses("https://api.fal.ai/v1/meta", fal.copy, client, lambda: fal.now, skew=keys.skew)
    await addresses.refresh()
    offset = keys.clock_offset()
    assert offset is not None
    assert abs(offset + timedelta(seconds=90)) <= timedelta(seconds=1)


async def test_limit_survives_clock_step(fal: Fal) -> None:
    """Fault 15: a clock that steps back does not lock the refetch out until it has caught up."""
    keys = fal.keys()
    await keys.refresh_after_failure()
    fal.now -= timedelta(days=1)
    await keys.refresh_after_failure()
    assert len(fal.calls) == 2


async def test_single_flight(fal: Fal) -> None:
    """Fault 16: deliveries that come during a fetch wait for it, and all learn that the keys changed."""
    keys = fal.keys()
    await keys.refresh()
    fal.answers = {"rest.fal.ai": (200, jwks(C))}
    fal.open.clear()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(keys.refresh_after_failure()) for _ in range(100)]
        scheduled = group.create_task(keys.refresh())
        while len(fal.calls) < 2:  # noqa: ASYNC110 bounded: the fetch is already scheduled
            await asyncio.sleep(0)
        fal.open.set()
    assert all(task.result() for task in tasks)
    assert scheduled.result()
    assert len(fal.calls) == 2


async def test_waiters_of_a_scheduled_refresh(fal: Fal) -> None:
    """Fault 16: deliveries that come during a scheduled refresh wait for it instead of fetching again."""
    keys = fal.keys()
    fal.open.clear()
    async with asyncio.TaskGroup() as group:
        scheduled = group.create_task(keys.refresh())
        while not fal.calls:  # noqa: ASYNC110 bounded: the fetch is already scheduled
            await asyncio.sleep(0)
        waiting = [group.create_task(keys.ensure()) for _ in range(10)]
        await asyncio.sleep(0)
        fal.open.set()
    assert scheduled.result()
    assert all(task.result() for task in waiting)
    assert len(fal.calls) == 1


async def test_cancelled_leader(fal: Fal) -> None:
    """A delivery that gives up during a fetch does not leave the others waiting for ever, nor undo the limit."""
    keys = fal.keys()
    fal.open.clear()
    leader = asyncio.create_task(keys.refresh_after_failure())
    while not fal.calls:  # noqa: ASYNC110 bounded: the fetch is already scheduled
        await asyncio.sleep(0)
    follower = asyncio.create_task(keys.refresh_after_failure())
    leader.cancel()
    assert not await follower
    assert leader.cancelled()
    assert len(fal.calls) == 1


async def test_cold_start(fal: Fal) -> None:
    """Fault 16: with no key at all and fal down, deliveries cause one fetch in 30 s; fal's return heals it."""
    fal.answers = {"rest.fal.ai": HttpFailed("ConnectError")}
    keys = fal.keys()
    assert not await keys.refresh()
    for _ in range(100):
        assert not await keys.ensure()
    assert fal.calls.count("rest.fal.ai") == 1
    fal.answers = {"rest.fal.ai": (200, jwks(A))}
    fal.now += timedelta(seconds=30)
    assert await keys.ensure()
    assert keys.current() == (A,)
    assert await keys.ensure()
    assert fal.calls.count("rest.fal.ai") == 2


async def test_the_first_keys_do_not_use_up_the_refetch(fal: Fal) -> None:
    """Fault 17: keys that change right after a delivery brought the first ones still get their one refetch."""
    keys = fal.keys()
    assert await keys.ensure()
    fal.answers = {"rest.fal.ai": (200, jwks(C))}
    assert await keys.refresh_after_failure()
    assert keys.current() == (C,)
    assert not await keys.refresh_after_failure()
    assert len(fal.calls) == 2


async def test_prefer(fal: Fal) -> None:
    """The key that fitted is tried first from then on, through a refresh that changes nothing too."""
    keys = fal.keys()
    keys.prefer(B)
    await keys.refresh()
    keys.prefer(C)
    keys.prefer(A)
    assert keys.current() == (A, B)
    keys.prefer(B)
    assert keys.current() == (B, A)
    assert not await keys.refresh_after_failure()
    assert keys.current() == (B, A)


async def test_copy_on_disk(fal: Fal) -> None:
    """Fault 16: after a restart with fal down, the copy on disk serves until it is 24 h old."""
    await fal.keys().refresh()
    assert json.loads(fal.copy.read_bytes())["fetched_at"] == "2026-11-22T12:00:00+00:00"
    fal.answers = {}
    fal.now += timedelta(hours=23)
    keys = fal.keys()
    await keys.load()
    assert keys.current() == (A, B)
    assert keys.age() == timedelta(hours=23)
    assert not await keys.refresh()
    assert keys.current() == (A, B)
    fal.now += timedelta(hours=2)
    assert keys.current() == ()
    assert [path.name for path in fal.copy.parent.iterdir()] == ["keys.json"]


async def test_no_copy(fal: Fal) -> None:
    """Without a copy on disk loading says nothing and finds nothing."""
    keys = fal.keys()
    with capture_logs() as logs:
        await keys.load()
    assert keys.current() == ()
    assert logs == []


@pytest.mark.parametrize(
    "copy",
    [
        b"",
        b"\x00\xff",
        b"[]",
        jwks(A),
        b'{"fetched_at": 5, "keys": []}',
        b'{"fetched_at": "yesterday", "keys": []}',
        b'{"fetched_at": "2026-11-22T12:00:00", ' + jwks(A)[1:],
        b'{"fetched_at": "2026-11-22T12:06:00+00:00", ' + jwks(A)[1:],
        b'{"fetched_at": "2026-11-22T11:00:00+00:00", "keys": []}',
        b'{"fetched_at": "2026-11-22T11:00:00+00:00", ' + jwks(A)[1:] + b" " * 300_000,
    ],
    ids=[
        "empty",
        "binary",
        "no-object",
        "no-date",
        "number",
        "word",
        "no-zone",
        "future",
        "no-key",
        "too-large",
    ],
)
async def test_damaged_copy(fal: Fal, copy: bytes) -> None:
    """Fault 18: a copy that is damaged, undated or dated in the future is ignored with a warning."""
    fal.copy.write_bytes(copy)
    keys = fal.keys()
    with capture_logs() as logs:
        await keys.load()
    assert keys.current() == ()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("keys.copy_ignored", "warning")]
    assert await keys.refresh()


async def test_unwritable_copy(fal: Fal) -> None:
    """A copy that cannot be written costs the copy, not the keys, and leaves no debris."""
    fal.copy.mkdir()
    keys = fal.keys()
    with capture_logs() as logs:
        assert await keys.refresh()
    assert keys.current() == (A, B)
    assert "keys.copy_not_written" in [entry["event"] for entry in logs]
    assert [path.name for path in fal.copy.parent.iterdir()] == ["keys.json"]


async def test_encoded_answer(fal: Fal) -> None:
    """Fault 18: an answer that would have to be inflated is refused unread."""
    client = http_of(lambda _: Given(200, headers={"Content-Encoding": "br"}))
    with pytest.raises(FetchFailed, match="encoded"):
        await get_capped(client, NEW, 100)


async def test_endless_answer() -> None:
    """Fault 18: an endless answer is cut off at the limit."""
    served = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal served
        while True:
            served += 1
            yield b"x" * 100

    client = http_of(lambda _: Given(200, pieces=endless()))
    with pytest.raises(FetchFailed, match="too_large"):
        await get_capped(client, NEW, 1000)
    assert served == 11


async def test_hanging_answer() -> None:
    """Fault 16: an answer that never ends is given up at the deadline, without a word about the URL."""

    async def never(_: Asked) -> Given:
        await asyncio.Event().wait()
        raise AssertionError

    client = http_of(never)
    with pytest.raises(FetchFailed) as caught:
        await get_capped(client, NEW, 1000, deadline_seconds=0)
    assert str(caught.value) == "timeout"


async def test_real_client() -> None:
    """Fault 16: the real client tells a refused connection as such."""
    async with make_client(connect_seconds=1) as client:
        with pytest.raises(FetchFailed, match="unreachable"):
            await get_capped(client, "http://127.0.0.1:1/jwks", 100)
