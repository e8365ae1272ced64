"""Who may see the pages, and how nobody else does."""

import re
import secrets
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import select

from app.db import operator_access
from app.db.engine import Connection
from app.db.tables import login_links, operator_sessions
from tests.dashboard.conftest import FROM_US, HTML, TOKEN, Site

pytestmark = pytest.mark.anyio
PRIVATE = ("/dashboard", "/dashboard/deliveries", "/dashboard/messages", "/dashboard/doctor", "/dashboard/none")


async def make_link(site: Site, lasts: float = 300) -> str:
    value = secrets.token_urlsafe(32)
    ends_at = datetime.now(UTC) + timedelta(seconds=lasts)  # noqa: TID251  the server's clock is the system's
    await site.database.write(operator_access.add_link, sha256(value.encode()).hexdigest(), "operator", ends_at)
    return value


def rows(connection: Connection, table: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(table)).mappings()]


async def test_without_a_session_there_is_only_the_login(site: Site) -> None:
    """Every page sends a stranger to the login, whether it exists or not."""
    for path in PRIVATE:
        answer = await site.http.get(path, headers=HTML)
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/login"), path


async def test_loopback_has_to_log_in_as_well(open_site: Any) -> None:
    """Behind a tunnel everybody is 127.0.0.1: no address is let in without a session."""
    async with open_site(address="127.0.0.1") as site:
        assert (await site.http.get("/dashboard")).status_code == 303


async def test_the_cookie_is_as_closed_as_cookies_can_be(site: Site) -> None:
    """The session's cookie goes to this host over TLS, to no script, and with no request of another site."""
    answer = await site.login()
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    name, _, rest = answer.headers["set-cookie"].partition("=")
    assert name == "__Host-aisha-session"
    words = {word.strip().lower() for word in rest.split(";")[1:]}
    assert {"secure", "httponly", "samesite=strict", "path=/"} <= words
    assert not any(word.startswith("domain") for word in words)


async def test_the_database_does_not_hold_the_cookie(site: Site) -> None:
    """Who reads the database cannot become an operator: it holds the sha256 of what the cookie holds."""
    answer = await site.login()
    value = re.match(r"[^=]+=([^;]+)", answer.headers["set-cookie"])[1]  # type: ignore[index]
    (row,) = await site.database.read(rows, operator_sessions)
    assert row["id"] == sha256(value.encode()).hexdigest()
    assert value not in str(row)
    assert row["who"] == "Aizhan"


async def test_a_link_is_spent_by_its_button_only(site: Site) -> None:
    """Looking at a link shows a button and spends nothing; the button works once."""
    link = await make_link(site)
    for _ in range(2):
        page = await site.text(f"/dashboard/login?link={link}")
        assert f'name="link" value="{link}"' in page
        assert 'name="token"' not in page
    assert (await site.login(link=link)).status_code == 303
    assert (await site.http.get("/dashboard")).status_code == 200
    site.http.headers.pop("Cookie")
    assert (await site.login(link=link)).status_code == 401
    assert await site.database.read(rows, login_links) == []


async def test_a_link_ends_after_its_time(site: Site) -> None:
    """A link whose time is over opens nothing."""
    assert (await site.login(link=await make_link(site, lasts=-1))).status_code == 401


async def test_five_failures_lock_an_address_out(site: Site) -> None:
    """After five wrong passwords the right one is refused, too, until the wait is over; a link helps (fault 49)."""
    for _ in range(5):
        assert (await site.login(token="wrong" * 10)).status_code == 401
    answer = await site.login()
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert (await site.login(link=await make_link(site))).status_code == 303


async def test_a_hundred_tries_learn_nothing(site: Site) -> None:
    """Of a hundred guesses five are looked at; the wait grows (fault 49)."""
    answers = [(await site.login(token=f"{number:040}")).status_code for number in range(100)]
    assert answers == [401] * 5 + [429] * 95


async def test_a_login_gives_a_new_id(site: Site) -> None:
    """An id that was there before the login is worth nothing after it, whoever chose it (fault 49)."""
    site.http.headers["Cookie"] = "__Host-aisha-session=chosen-by-a-stranger"
    answer = await site.login()
    assert "chosen-by-a-stranger" not in answer.headers["set-cookie"]
    first = site.http.headers["Cookie"]
    await site.login()
    assert site.http.headers["Cookie"] != first
    site.http.headers["Cookie"] = first
    assert (await site.http.get("/dashboard")).status_code == 303


async def test_logout_ends_the_session(inside: Site) -> None:
    """After a logout the old cookie opens nothing (fault 49)."""
    assert (await inside.http.get("/dashboard")).status_code == 200
    answer = await inside.post("/dashboard/logout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/login")
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert (await inside.http.get("/dashboard")).status_code == 303


async def test_a_session_is_good_on_every_replica_and_after_a_restart(open_site: Any) -> None:
    """A session lives in the database: another replica, or the same after a restart, knows it, and its end."""
    async with open_site() as first, open_site() as second:
        await first.login()
        second.http.headers["Cookie"] = first.http.headers["Cookie"]
        assert (await second.http.get("/dashboard")).status_code == 200
    async with open_site() as again:
        again.http.headers["Cookie"] = first.http.headers["Cookie"]
        assert (await again.http.get("/dashboard")).status_code == 200
        await again.post("/dashboard/logout")
        assert (await again.http.get("/dashboard")).status_code == 303


async def test_another_password_ends_the_sessions_of_the_old_one(open_site: Any) -> None:
    """A password that was changed because it leaked opens nothing any more."""
    async with open_site() as site:
        await site.login()
    async with open_site(dashboard_token=TOKEN[::-1]) as site_after:
        site_after.http.headers["Cookie"] = site.http.headers["Cookie"]
        assert (await site_after.http.get("/dashboard")).status_code == 303


async def test_a_forged_request_is_refused(inside: Site) -> None:
    """What another site's page makes a browser send changes nothing, cookie or not (fault 48)."""
    for headers in [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://aibots.kz"},
        {"Origin": "https://aibots.kz.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://aibots.kz"},
    ]:
        answer = await inside.http.post("/dashboard/logout", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "cross_site"), headers
        assert (await inside.http.get("/dashboard")).status_code == 200, headers


@pytest.mark.parametrize("headers", [FROM_US, {"Origin": "https://aibots.kz"}])
async def test_our_own_page_may_act(inside: Site, headers: dict[str, str]) -> None:
    """A form of ours is let through by Fetch Metadata, and by its Origin where a browser sends none."""
    assert (await inside.http.post("/dashboard/logout", headers=headers)).status_code == 303


async def test_nobody_logs_another_in(site: Site) -> None:
    """Another site's page cannot log a browser in with a session of its own."""
    form = {"token": TOKEN}
    answer = await site.http.post("/dashboard/login", data=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


async def test_every_answer_is_closed(inside: Site) -> None:
    """No page may be framed, kept, guessed at, or take a script or a style from anywhere else (fault 48)."""
    for path in ["/dashboard", "/dashboard/login", "/dashboard/static/dashboard.js", "/dashboard/none"]:
        answer = await inside.http.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), path
        assert "unsafe" not in policy, path
        assert "frame-ancestors 'none'" in policy, path
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"] == "no-referrer", path
        assert answer.headers["cross-origin-opener-policy"] == "same-origin", path
        assert answer.headers["cross-origin-resource-policy"] == "same-origin", path
        assert "access-control-allow-origin" not in answer.headers, path


async def test_no_other_file_is_read(inside: Site) -> None:
    """A path leads to no file but the four that are listed by name (fault 46)."""
    for path in [
        "/dashboard/static/../login.py",
        "/dashboard/static/..%2f..%2fmain.py",
        "/dashboard/static/%2e%2e/%2e%2e/main.py",
        "/dashboard/static//etc/passwd",
        "/dashboard/static/....//main.py",
        "/dashboard/static/%5c..%5cmain.py",
        "/dashboard/static/dashboard.js%00.css",
        "/dashboard/static/htmx/htmx.min.js",
        "/dashboard/static/",
    ]:
        answer = await inside.http.get(path, headers=HTML)
        assert answer.status_code == 404, path
        assert "create_app" not in answer.text, path


async def test_the_way_back_leads_nowhere_else(inside: Site) -> None:
    """A form cannot be made to send a browser to another site."""
    for back in ["https://evil.example", "//evil.example", "/dashboard//evil.example", "/dashboard\\x"]:
        answer = await inside.post("/dashboard/preferences", language="ru", back=back)
        assert answer.headers["location"] == "/dashboard", back
