"""The pages over ASGI, as an operator's browser sees them."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.application import create_app, enclose
from app.core.config import Settings
from app.db.engine import Database, open_database
from app.twins.fal import FalTwin

TOKEN = "an-operators-password-of-forty-characters"
HOST = "https://aibots.kz"
FROM_US = {"Sec-Fetch-Site": "same-origin"}
HTML = {"Accept": "text/html"}


@dataclass
class Site:
    """The pages of one replica, a browser without a session, and the database behind them."""

    http: httpx2.AsyncClient
    app: Any
    database: Database

    async def login(self, **form: str) -> httpx2.Response:
        answer = await self.http.post(
            "/dashboard/login", data=form or {"token": TOKEN, "name": "Aizhan"}, headers=FROM_US
        )
        if answer.status_code == 303:
            self.http.headers["Cookie"] = answer.headers["set-cookie"].partition(";")[0]
        return answer

    async def post(self, path: str, **form: str) -> httpx2.Response:
        return await self.http.post(path, data=form, headers={**FROM_US, **HTML})

    async def text(self, path: str) -> str:
        answer = await self.http.get(path, headers=HTML)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-2000:])
        return answer.text


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of a page's forms."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))


@pytest.fixture
def open_site(sqlite_url: str, tmp_path: Path) -> Any:
    """Start replicas on one database."""

    @asynccontextmanager
    async def start(*, address: str = "203.0.113.9", **changes: Any) -> AsyncIterator[Site]:
        async with AsyncExitStack() as stack:
            fal_url = await stack.enter_async_context(FalTwin().serve())
            settings = Settings(
                **{
                    "database_url": sqlite_url,
                    "data_dir": tmp_path,
                    "fal_jwks_urls": (f"{fal_url}/.well-known/jwks.json",),
                    "fal_api_url": fal_url,
                    "fal_queue_url": fal_url,
                    "artifact_check": "off",
                    "dashboard_token": TOKEN,
                    "default_language": "en",
                    **changes,
                }
            )
            app = create_app(settings)
            await stack.enter_async_context(app.router.lifespan_context(app))
            no_jar = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # the tests say which cookie is sent
            transport = httpx2.ASGITransport(enclose(app, settings), client=(address, 50_000))
            http = await stack.enter_async_context(
                httpx2.AsyncClient(transport=transport, base_url=HOST, cookies=no_jar)
            )
            database = open_database(sqlite_url)
            stack.push_async_callback(database.close)
            yield Site(http, app, database)

    return start


@pytest.fixture
async def site(open_site: Any) -> AsyncIterator[Site]:
    async with open_site() as opened:
        yield opened


@pytest.fixture
async def inside(site: Site) -> Site:
    """A browser that has logged in."""
    assert (await site.login()).status_code == 303
    return site
