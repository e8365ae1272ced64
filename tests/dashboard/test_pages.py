"""What the pages show."""

import re
from html import unescape
from urllib.parse import quote

import pytest

from tests.dashboard.conftest import HTML, Site
from tests.dashboard.rows import AVATAR, HOSTILE, a_day, request_of, seeded_at

pytestmark = pytest.mark.anyio
PAGES = (
    "",
    "/deliveries",
    "/messages",
    "/jobs",
    "/errors",
    "/charts",
    "/certificate",
    "/doctor",
    "/deliveries/61",
    "/messages/60",
    "/jobs/64",
)


@pytest.fixture
async def filled(inside: Site) -> Site:
    await inside.database.write(a_day, seeded_at())
    return inside


@pytest.mark.parametrize("language", ["ru", "en"])
async def test_every_page_speaks_the_language_that_was_chosen(filled: Site, language: str) -> None:
    """Each page is whole in Russian and in English: no key of a word is left in it."""
    session = filled.http.headers["Cookie"]
    for path in PAGES:
        answer = await filled.post("/dashboard/preferences", language=language, back=f"/dashboard{path}")
        assert answer.headers["location"] == f"/dashboard{path}"
        view = answer.headers["set-cookie"].partition(";")[0]
        filled.http.headers["Cookie"] = f"{session}; {view}"
        page = await filled.text(f"/dashboard{path}")
        assert f'<html lang="{language}"' in page, path
        keys = re.findall(r">\s*(?:page|now|balance|column|list|one|step|chart|act|word)\.[a-z_.]+\s*<", page)
        assert keys == [], path
        assert (">Сейчас<" in page) is (language == "ru"), path


async def test_what_strangers_wrote_is_text(filled: Site) -> None:
    """No payload, name, reason or header becomes markup, and no page has an inline script or style (fault 47)."""
    for path in PAGES:
        page = await filled.text(f"/dashboard{path}")
        assert "<script>" not in page, path
        assert "<img" not in page, path
        assert not re.search(r"<[^>]*\s(?:on\w+|style)=", page), path
        assert "\u202e" not in page, path


async def test_now_says_what_mends_an_alert(filled: Site) -> None:
    """Each alert stands with its command and with the page that shows its rows."""
    page = unescape(await filled.text("/dashboard"))
    assert "You are needed" in page
    assert "aisha-webhook deliveries list --state dead" in page
    assert 'href="/dashboard/deliveries?q=state:dead"' in page


async def test_now_says_that_all_is_well(inside: Site) -> None:
    """Without an alert and without a dead row there is nothing to do, and the page says so first."""
    page = await inside.text("/dashboard")
    assert "All is well" in page


async def test_a_list_is_walked_page_by_page(filled: Site) -> None:
    """Following "older" shows every row once; following "newer" leads back."""
    seen: list[int] = []
    path, pages = "/dashboard/deliveries", 0
    while path:
        page = await filled.text(path)
        seen += [int(number) for number in re.findall(r'id="open-(\d+)"', page)]
        older = re.search(r'href="([^"]+)" rel="next"', page)
        path, pages = unescape(older[1]) if older else "", pages + 1
    assert seen == list(range(63, 0, -1))
    assert pages == 2
    newer = re.search(r'href="([^"]+)" rel="prev"', page)
    assert newer is not None
    assert 'id="open-63"' in await filled.text(unescape(newer[1]))


async def test_a_search_finds_its_rows(filled: Site) -> None:
    """A search in words shows its rows and no others."""
    for search, ids in [
        ("state:dead", {61, 62, 63}),
        ("reason:conflict", {61}),
        (request_of(5), {5}),
        ("request:7", {7}),
        ('contains:"__pwned"', {61, 62, 63}),
        ("state:dead after:1h", {61, 62}),
    ]:
        page = await filled.text(f"/dashboard/deliveries?q={quote(search)}")
        assert {int(number) for number in re.findall(r'id="open-(\d+)"', page)} == ids, (search, ids)


async def test_a_search_by_avatar_finds_its_messages(filled: Site) -> None:
    """The avatar's id leads to what its owner was told."""
    page = await filled.text(f"/dashboard/messages?q=avatar:{AVATAR}")
    assert 'id="open-60"' in page


async def test_a_search_that_is_wrong_says_what_is_meant(filled: Site) -> None:
    """A misspelt word is answered with the right one, and with no rows."""
    answer = await filled.http.get("/dashboard/deliveries?q=state:daed", headers=HTML)
    assert answer.status_code == 400
    assert "did you mean dead" in unescape(answer.text)
    assert 'id="open-' not in answer.text


async def test_figures_lead_to_their_rows(filled: Site) -> None:
    """Each state and reason stands with its count, and its link narrows the search."""
    page = unescape(await filled.text("/dashboard/deliveries?q=state:dead"))
    assert re.search(r'href="/dashboard/deliveries\?q=state%3Adead\+reason%3Aconflict">conflict <small>\(1\)', page)
    assert re.search(r'href="/dashboard/deliveries\?q=state%3Adone">done <small>\(60\)', page)


async def test_suggestions_go_on_from_what_was_typed(filled: Site) -> None:
    """The last word is completed; what stands before it stays."""
    answer = await filled.http.get("/dashboard/suggest?queue=deliveries&q=reason:x%20state:de")
    assert re.findall(r'value="([^"]+)"', answer.text) == ["reason:x state:dead"]


async def test_one_delivery_shows_its_way_and_its_bytes(filled: Site) -> None:
    """A delivery shows each step with what it took, its body and headers as they came, and the avatar's others."""
    page = unescape(await filled.text("/dashboard/deliveries/5"))
    for step in ("first seen", "fal began", "received from fal", "stored on disk", "applied", "told in Telegram"):
        assert f"<strong>{step}</strong>" in page
    assert "+1 s" in page
    assert '{"request_id": "req-0005", "status": "OK"}' in page
    assert "x-fal-webhook-request-id: req-0005" in page
    assert 'href="/dashboard/deliveries/6"' in page


async def test_what_is_not_there_is_a_page(inside: Site) -> None:
    """An id that leads nowhere is answered 404 in words."""
    for path in ["/deliveries/99999", "/messages/0", "/jobs/x", "/deliveries/1e9", "/nothing"]:
        answer = await inside.http.get(f"/dashboard{path}", headers=HTML)
        assert answer.status_code == 404, path
        assert "There is no such page" in answer.text, path


async def test_jobs_tell_how_far_they_are(filled: Site) -> None:
    """An open job stands with its stage, its place, its share, the usual time, and whether it is late."""
    page = unescape(await filled.text("/dashboard/jobs?q=state:pending"))
    working, queued = page.partition('id="row-65"')[2], page.partition('id="row-64"')[2]
    assert 'value="63"' in queued
    assert "at_work" in queued
    assert "queued" in working
    assert ">4<" in re.sub(r"\s", "", working)


async def test_errors_lead_to_their_rows(filled: Site) -> None:
    """Each reason stands with its counts over an hour to a week, and each count leads to the rows behind it."""
    page = unescape(await filled.text("/dashboard/errors"))
    link = re.search(r'href="(/dashboard/deliveries\?q=reason%3Aconflict\+after%3A1h)">2<', page)
    assert link is not None
    assert 'id="open-61"' in await filled.text(link[1])


async def test_every_chart_has_its_table(filled: Site) -> None:
    """What a chart draws can be read in a table."""
    page = await filled.text("/dashboard/charts?period=6h")
    assert (page.count("<svg"), page.count("As a table"), page.count("<table")) == (6, 5, 6)
    assert page.count("<rect") > 10


async def test_the_body_can_be_sent_again(filled: Site) -> None:
    """The command for curl holds the body and the headers in quotes that no value leaves."""
    page = unescape(await filled.text("/dashboard/deliveries/5"))
    assert "curl -sS https://aibots.kz:8443/api/v1/avatar/status_update" in page
    assert HOSTILE[:8] in page
