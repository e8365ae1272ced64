"""Redrive and ignore from the pages."""

import asyncio
import re
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import func, select, update

from app.db.engine import Connection
from app.db.tables import deliveries, events
from app.flows.act import BulkAct
from tests.dashboard.conftest import FROM_US, HTML, Site, hidden
from tests.dashboard.rows import a_day, seeded_at

pytestmark = pytest.mark.anyio
DEAD = "/dashboard/deliveries/act?operation=ignore&q=" + quote("state:dead")


@pytest.fixture
async def filled(inside: Site) -> Site:
    await inside.database.write(a_day, seeded_at())
    return inside


def states(connection: Connection) -> dict[int, str]:
    return {row.id: row.state for row in connection.execute(select(deliveries.c.id, deliveries.c.state))}


def acts(connection: Connection) -> list[tuple[Any, ...]]:
    found = select(events.c.kind, events.c.delivery_id, events.c.who, events.c.why).where(events.c.who.is_not(None))
    return [tuple(row) for row in connection.execute(found.order_by(events.c.delivery_id))]


async def form_of(site: Site, path: str) -> dict[str, str]:
    return {name: unescape(value) for name, value in hidden(await site.text(path)).items() if name != "back"}


async def test_looking_changes_nothing(filled: Site) -> None:
    """A rehearsal says what would happen, row by row, and leaves everything as it is."""
    before = await filled.database.read(states)
    page = unescape(await filled.text(DEAD))
    assert "3 would be closed (now dead)" in page
    assert "<code>state:dead</code>" in page
    assert await filled.database.read(states) == before


async def test_an_act_wants_a_reason(filled: Site) -> None:
    """Without a reason nothing is done, and the page asks for one."""
    answer = await filled.post("/dashboard/deliveries/act", **await form_of(filled, DEAD), why="  ")
    assert answer.status_code == 400
    assert "Say why" in answer.text
    assert (await filled.database.read(states))[61] == "dead"


async def test_a_whole_search_is_closed_and_kept_in_the_history(filled: Site) -> None:
    """What was rehearsed is done to every row of the search, under the operator's name and reason."""
    form = await form_of(filled, DEAD)
    answer = await filled.post("/dashboard/deliveries/act", **form, why="the bot was wrong <b>")
    assert answer.status_code == 200
    assert "3 of 3, changed: 3" in answer.text
    after = await filled.database.read(states)
    assert {number for number, state in after.items() if state == "ignored"} == {61, 62, 63}
    assert await filled.database.read(acts) == [
        ("ignored", number, "Aizhan", "the bot was wrong <b>") for number in (61, 62, 63)
    ]
    page = await filled.text("/dashboard/history")
    assert page.count("the bot was wrong &lt;b&gt;") == 3
    link = re.search(r'href="(/dashboard/acts/[^"]+)"', answer.text)
    assert link is None  # it is over: there is nothing to refresh


async def test_one_delivery_is_redriven(filled: Site) -> None:
    """One row is due again after its own rehearsal."""
    path = "/dashboard/deliveries/act?operation=redrive&q=request:61&id=61"
    answer = await filled.post("/dashboard/deliveries/act", **await form_of(filled, path), why="mended")
    assert answer.status_code == 200
    assert await filled.database.read(acts) == [("redriven", 61, "Aizhan", "mended")]


async def test_what_has_changed_is_shown_again(filled: Site) -> None:
    """When a row is not as it was rehearsed nothing is done, and the page shows how things are now."""
    form = await form_of(filled, DEAD)

    def touch(connection: Connection) -> None:
        connection.execute(update(deliveries).where(deliveries.c.id == 62).values(attempt=deliveries.c.attempt + 1))

    await filled.database.write(touch)
    answer = await filled.post("/dashboard/deliveries/act", **form, why="late")
    assert answer.status_code == 409
    assert "Things have changed" in answer.text
    assert hidden(answer.text)["digest"] != form["digest"]
    assert await filled.database.read(acts) == []


async def test_an_act_is_not_done_twice(filled: Site) -> None:
    """A form that is sent again finds that things have changed."""
    form = await form_of(filled, DEAD)
    await filled.post("/dashboard/deliveries/act", **form, why="once")
    assert (await filled.post("/dashboard/deliveries/act", **form, why="twice")).status_code == 409
    assert len(await filled.database.read(acts)) == 3


async def test_reading_only_means_reading_only(open_site: Any) -> None:
    """With DASHBOARD_READ_ONLY no page offers an act, and a form that is sent all the same is refused."""
    async with open_site(dashboard_read_only=True) as site:
        await site.login()
        await site.database.write(a_day, seeded_at())
        for path in ("/dashboard/deliveries", "/dashboard/deliveries/61", DEAD):
            page = await site.text(path)
            assert "read only" in page
            assert 'name="digest"' not in page
        form = {"operation": "ignore", "q": "state:dead", "why": "all the same"}
        assert (await site.post("/dashboard/deliveries/act", **form)).status_code == 403
        assert (await site.database.read(states))[61] == "dead"


async def test_a_forged_act_is_refused(filled: Site) -> None:
    """Another site's form does nothing, whatever it holds (fault 48)."""
    form = {**await form_of(filled, DEAD), "why": "forged"}
    for headers in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await filled.http.post("/dashboard/deliveries/act", data=form, headers=headers)
        assert answer.status_code == 403
    assert await filled.database.read(acts) == []


@pytest.mark.parametrize(
    ("form", "status"),
    [({"operation": "drop"}, 400), ({"operation": "ignore", "q": "state:daed", "why": "x"}, 400), ({}, 400)],
)
async def test_a_form_that_is_no_form_is_refused(inside: Site, form: dict[str, str], status: int) -> None:
    """What is not understood does nothing."""
    given = {"why": "x", **form}
    assert (await inside.http.post("/dashboard/deliveries/act", data=given, headers=FROM_US)).status_code == status
    assert (await inside.http.post("/dashboard/jobs/act", data=given, headers=FROM_US)).status_code == 404


async def test_an_act_is_stopped_between_two_batches(
    filled: Site, open_site: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every replica shows how far it is, and stops it; the rest is left, and what is done stays done."""
    first, go_on = asyncio.Event(), asyncio.Event()
    run = BulkAct.run

    async def gated(self: BulkAct, on_progress: Callable[[], None]) -> list[int]:
        write = self.database.write

        async def slow(*wanted: Any) -> Any:
            changed = await write(*wanted)
            first.set()
            await go_on.wait()
            return changed

        self.database = SimpleNamespace(write=slow)  # type: ignore[assignment]  # all that an act needs of it
        return await run(self, on_progress)

    monkeypatch.setattr("app.flows.act.BATCH", 1)
    monkeypatch.setattr("app.dashboard.acting.AT_ONCE", 0.01)
    monkeypatch.setattr(BulkAct, "run", gated)
    answer = await filled.post("/dashboard/deliveries/act", **await form_of(filled, DEAD), why="once is enough")
    [name] = set(re.findall(r"/dashboard/acts/([^/\"]+)", answer.text))
    await first.wait()
    async with open_site() as other:
        other.http.headers["Cookie"] = filled.http.headers["Cookie"]
        path = f"/dashboard/acts/{name}"
        assert "1 of 3, changed: 1" in await other.text(path)
        stopped = await other.post(f"{path}/cancel")
        assert (stopped.status_code, stopped.headers["location"]) == (303, path)
        go_on.set()
        await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "dashboard act"))
        for site in (filled, other):
            page = await site.text(path)
            assert "1 of 3, changed: 1" in page
            assert "Stopped." in page
            assert "hx-get" not in page
    after = await filled.database.read(states)
    assert sorted(after[number] for number in (61, 62, 63)) == ["dead", "dead", "ignored"]


async def test_an_unknown_act_is_no_page(filled: Site) -> None:
    """Nothing is stopped that there is not, and the history keeps no line of it."""
    assert (await filled.post("/dashboard/acts/unknown/cancel")).status_code == 303
    assert (await filled.http.get("/dashboard/acts/unknown", headers=HTML)).status_code == 404
    stops = select(func.count()).select_from(events).where(events.c.kind == "stopped")
    assert await filled.database.read(lambda connection: connection.execute(stops).scalar_one()) == 0
