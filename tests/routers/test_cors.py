"""What a page of another origin may learn from us."""

import time

import pytest

from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.signing import ACCOUNT, sign
from tests.routers.conftest import Serve, Served

pytestmark = pytest.mark.anyio

LISTED = ("https://aibots.kz", "https://panel.example:8443")
FOREIGN = (
    "https://evil.example",
    "http://aibots.kz",
    "https://aibots.kz:444",
    "https://aibots.kz.evil.example",
    "https://evilaibots.kz",
    "https://AIBOTS.KZ",
    "https://aibots.kz/",
    "null",
    "*",
    "",
)
ALLOWING = (
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-credentials",
)


def preflight(origin: str, method: str = "GET") -> dict[str, str]:
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": "content-type"}


@pytest.mark.parametrize("origin", LISTED)
async def test_a_listed_origin_may_read(serve: Serve, origin: str) -> None:
    """Each of CORS_ORIGINS is allowed by name, never by `*`, and without cookies."""
    async with serve(cors_origins=LISTED) as served:
        answer = await served.http.get("/health", headers={"Origin": origin})
        assert answer.headers["access-control-allow-origin"] == origin
        assert "origin" in answer.headers["vary"].lower()
        assert "access-control-allow-credentials" not in answer.headers
        asked = await served.http.options("/health", headers=preflight(origin))
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == origin
        assert {"GET", "POST"} == set(asked.headers["access-control-allow-methods"].split(", "))


async def test_a_foreign_origin_is_allowed_nothing(served: Served) -> None:
    """An origin that is not listed to the letter gets no Access-Control-Allow-Origin, asked before or not."""
    for origin in FOREIGN:
        answer = await served.http.get("/health", headers={"Origin": origin})
        assert answer.status_code == 200, origin
        asked = await served.http.options("/health", headers=preflight(origin))
        for told in (answer, asked):
            assert "access-control-allow-origin" not in told.headers, origin
            assert "access-control-allow-credentials" not in told.headers, origin


@pytest.mark.parametrize("origin", [*LISTED[:1], *FOREIGN[:2]])
async def test_the_webhook_takes_no_part(served: Served, origin: str) -> None:
    """A delivery is judged alike with any Origin and allows none; a preflight is a 405 like every other method."""
    request_id = bodies.job_id(1)
    body = bodies.success(request_id)
    headers = sign(served.key, request_id, ACCOUNT, int(time.time()), body)
    answer = await served.post(body, {**headers, "Origin": origin})
    asked = await served.http.options(PATH, headers=preflight(origin, "POST"))
    assert (answer.status_code, asked.status_code, asked.headers["allow"]) == (200, 405, "POST")
    for told in (answer, asked):
        assert [name for name in ALLOWING if name in told.headers] == []
