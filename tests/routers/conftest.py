"""The whole application over ASGI with a twin of fal; on SQLite, because the databases have a suite of their own."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from app.application import create_app, enclose
from app.core.config import Settings
from app.db.engine import Connection, open_database
from app.db.tables import deliveries
from app.routers.fal_webhook import PATH
from app.twins.fal import FalTwin
from app.twins.signing import ACCOUNT, FalKey, sign

FAL_ADDRESS = "34.123.59.101"  # the first of fal's published ranges
JSON = {"Content-Type": "application/json"}


@dataclass
class Served:
    """A running application, a client at an address, and fal's key."""

    http: httpx2.AsyncClient
    fal: FalTwin
    database_url: str

    @property
    def key(self) -> FalKey:
        return self.fal.key

    async def post(self, body: bytes, headers: dict[str, str] | None = None) -> httpx2.Response:
        return await self.http.post(PATH, content=body, headers={**JSON, **(headers or {})})

    async def deliver(self, request_id: str, body: bytes, timestamp: int | None = None) -> httpx2.Response:
        at = int(time.time()) if timestamp is None else timestamp
        return await self.post(body, sign(self.key, request_id, ACCOUNT, at, body))

    async def rows(self) -> list[dict[str, Any]]:
        def load(connection: Connection) -> list[dict[str, Any]]:
            return [dict(row) for row in connection.execute(select(deliveries).order_by("id")).mappings()]

        database = open_database(self.database_url)
        try:
            return await database.read(load)  # takes no lock that the server wants, and leaves the loop to it
        finally:
            await database.close()


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve(sqlite_url: str, tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def start(*, address: str = FAL_ADDRESS, **changes: Any) -> AsyncIterator[Served]:
        fal = FalTwin()
        async with fal.serve() as fal_url:
            settings = Settings(
                **{
                    "database_url": sqlite_url,
                    "data_dir": tmp_path,
                    "fal_user_id": ACCOUNT,
                    "fal_jwks_urls": (f"{fal_url}/.well-known/jwks.json",),
                    "fal_api_url": fal_url,
                    "fal_queue_url": fal_url,
                    "artifact_check": "off",
                    **changes,
                }
            )
            app = create_app(settings)
            transport = httpx2.ASGITransport(enclose(app, settings), client=(address, 50_000))
            async with (
                app.router.lifespan_context(app),
                httpx2.AsyncClient(transport=transport, base_url="https://aibots.kz") as http,
            ):
                yield Served(http, fal, sqlite_url)

    return start


@pytest.fixture
async def served(serve: Serve) -> AsyncIterator[Served]:
    async with serve() as running:
        yield running
