"""fal's keys, served well and badly, as the whole application meets them."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.domain.quotas import LINES
from app.twins import bodies, jwks
from app.twins.fal import FalTwin
from app.twins.forgeries import Forgery, forge
from app.twins.signing import ACCOUNT, FalKey, sign
from tests.routers.conftest import Serve, Served

pytestmark = pytest.mark.anyio

REQUEST_ID = bodies.job_id(1)
BODY = bodies.success(REQUEST_ID)
STRANGER = FalKey(b"s" * 32)
ANSWER_WITHIN = 10.0  # s (I5)
UNUSABLE = ("down", "slow", "hang")


def give_up_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait less for keys that do not come: the deadline itself is not what is tried here."""
    monkeypatch.setattr("app.fal.keys.Keys.fetch_seconds", 0.3)


def twin() -> FalTwin:
    return FalTwin(sleep=lambda _: asyncio.sleep(0.6))  # slow enough to be given up, and over with the test


@asynccontextmanager
async def served_by(serve: Serve, fal: FalTwin) -> AsyncIterator[Served]:
    """Run the application with the keys of this twin."""
    async with fal.serve() as url, serve(fal_jwks_urls=(f"{url}/.well-known/jwks.json",)) as served:
        served.fal = fal
        yield served


async def present(served: Served, forgery: Forgery) -> int:
    headers, body = forge(
        forgery, served.key, request_id=REQUEST_ID, user_id=ACCOUNT, timestamp=int(time.time()), body=BODY
    )
    return (await served.post(body, headers)).status_code


@pytest.mark.parametrize("mode", UNUSABLE)
async def test_a_cold_start_without_keys_is_a_503(serve: Serve, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With no key at all nothing can be judged: 503 with Retry-After in time, neither 401 nor 200 (fault 16)."""
    give_up_early(monkeypatch)
    fal = twin()
    fal.set_jwks(mode)
    async with served_by(serve, fal) as served:
        began = time.monotonic()
        answers = [await served.deliver(REQUEST_ID, BODY)]
        answers += [await served.post(BODY, sign(STRANGER, REQUEST_ID, ACCOUNT, int(time.time()), BODY))]
        assert time.monotonic() - began < ANSWER_WITHIN
        for answer in answers:
            assert (answer.status_code, answer.json()["code"]) == (503, "keys_unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert await served.rows() == []


@pytest.mark.parametrize(("mode", "each"), [("down", 50), ("slow", 10), ("hang", 10)])
async def test_cached_keys_outlast_their_source(
    serve: Serve, mode: str, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The source fails, up to 1,000 bad signatures come: one fetch in 30 s, and genuine deliveries pass (fault 16)."""
    async with served_by(serve, twin()) as served:
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200
        give_up_early(monkeypatch)
        served.fal.set_jwks(mode)
        before, began = served.fal.jwks_fetches, time.monotonic()
        bad = sign(STRANGER, REQUEST_ID, ACCOUNT, int(time.time()), BODY)

        async def flood(count: int) -> Counter[int]:
            return Counter([(await served.post(BODY, bad)).status_code for _ in range(count)])

        statuses = sum(await asyncio.gather(*(flood(each) for _ in range(20))), Counter[int]())
        assert statuses.total() == 20 * each
        assert statuses.keys() == {401, 429}
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200
        assert served.fal.jwks_fetches - before <= 1 + (time.monotonic() - began) // 30


async def test_a_flood_is_told_when_to_come_again(serve: Serve) -> None:
    """Only the 429 has Retry-After; it and the 401 are small and constant, ten of them are logged (fault 19)."""
    async with served_by(serve, twin()) as served:
        bad = sign(STRANGER, REQUEST_ID, ACCOUNT, int(time.time()), BODY)
        with capture_logs() as logs:
            answers = [await served.post(BODY, bad) for _ in range(30)]
        assert [entry["event"] for entry in logs].count("delivery.refused") == LINES
        assert (answers[0].status_code, "retry-after" in answers[0].headers) == (401, False)
        last = answers[-1]
        assert (last.status_code, last.json()["code"], last.headers["retry-after"]) == (429, "signatures_failing", "60")
        assert last.headers["content-type"] == "application/problem+json"
        assert len({answer.content for answer in answers}) == 2
        assert max(len(answer.content) for answer in answers) < 300


async def test_a_rotation_costs_one_fetch(serve: Serve) -> None:
    """The first delivery signed by a new key passes after one fetch, and the old key still serves (fault 17)."""
    async with served_by(serve, twin()) as served:
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200
        old, before = served.key, served.fal.jwks_fetches
        served.fal.rotate()
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200
        assert served.fal.jwks_fetches == before + 1
        assert (await served.post(BODY, sign(old, REQUEST_ID, ACCOUNT, int(time.time()), BODY))).status_code == 200
        assert served.fal.jwks_fetches == before + 1


async def test_a_poisoned_set_harms_nobody(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the set holds, good keys stay in use, no forgery passes, no redirect is followed (fault 18)."""
    for interval in ("MIN_INTERVAL", "RELUCTANT"):
        monkeypatch.setattr(f"app.fal.authenticate.{interval}", timedelta(0))
    async with served_by(serve, twin()) as served:
        assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200
        for poison in (*jwks.POISONS, "redirect"):
            served.fal.set_jwks(poison)
            before = served.fal.jwks_fetches
            assert await present(served, Forgery.WRONG_KEY) in (401, 429), poison
            assert served.fal.jwks_fetches == before + 1, poison
            assert await present(served, Forgery.LOW_ORDER) in (401, 429), poison
            assert (await served.deliver(REQUEST_ID, BODY)).status_code == 200, poison
        assert "moved_jwks" not in [call.name for call in served.fal.calls]
