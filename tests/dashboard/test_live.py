"""The stream that says when something has changed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.dashboard.guard import proofs
from app.dashboard.pages import live
from app.dashboard.pages.live import Pulse
from app.dashboard.parts import DashboardParts
from app.db import operator_access
from app.db.engine import Connection
from tests.dashboard.conftest import Site
from tests.dashboard.rows import a_day, seeded_at

pytestmark = pytest.mark.anyio


@pytest.fixture
async def parts(inside: Site, monkeypatch: pytest.MonkeyPatch) -> DashboardParts:
    monkeypatch.setattr(live, "LOOK_EVERY", 0.02)
    found: DashboardParts = inside.app.state.dashboard
    return found


@pytest.fixture
async def session(inside: Site, parts: DashboardParts) -> str:
    def newest(connection: Connection) -> list[str]:
        return operator_access.open_sessions(connection, proofs(parts), parts.clock.now())

    (one,) = await parts.database.read(newest)
    return one


async def drain(changes: AsyncIterator[None]) -> int:
    return len([None async for _ in changes])


async def test_a_change_is_said(parts: DashboardParts, session: str, inside: Site) -> None:
    """Whoever watches is told within a look of the database that something has changed."""
    changes = Pulse(parts).changes(session)
    told = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0.1)
    assert not told.done()
    await inside.database.write(a_day, seeded_at())
    await asyncio.wait_for(told, 5)
    await changes.aclose()  # type: ignore[attr-defined]


async def test_a_logout_ends_the_stream(parts: DashboardParts, session: str) -> None:
    """A stream ends with the session that it was opened with."""
    ended = asyncio.ensure_future(drain(Pulse(parts).changes(session)))
    await asyncio.sleep(0.1)
    assert not ended.done()
    await parts.database.write(operator_access.end_session, session)
    assert await asyncio.wait_for(ended, 5) == 0


async def test_a_stop_ends_all_streams(parts: DashboardParts, session: str) -> None:
    """When the server stops, twenty streams end at once and nothing looks at the database any more."""
    pulse = Pulse(parts)
    streams = [asyncio.ensure_future(drain(pulse.changes(session))) for _ in range(20)]
    await asyncio.sleep(0.1)
    parts.leaving.set()
    await asyncio.wait_for(asyncio.gather(*streams), 1)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "dashboard pulse"]


async def test_without_watchers_nothing_looks(parts: DashboardParts, session: str) -> None:
    """The last one to leave puts the pulse to rest."""
    changes = Pulse(parts).changes(session)
    waiting = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0.1)
    waiting.cancel()
    await asyncio.sleep(0.2)
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "dashboard pulse"]


async def test_a_stranger_is_told_to_stop_asking(site: Site) -> None:
    """Without a session the stream is answered 204, after which a browser does not come back."""
    assert (await site.http.get("/dashboard/live")).status_code == 204
