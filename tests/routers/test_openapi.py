"""The OpenAPI document names every answer that the server gives."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.db.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.routers.fal_webhook import PATH
from app.twins import bodies
from tests.docs.project import page
from tests.routers.conftest import JSON, Serve, Served

pytestmark = pytest.mark.anyio

TOKEN = "t" * 40
BEARER = {"Authorization": f"Bearer {TOKEN}"}
JOBS = "/api/v1/jobs"
FAL = ("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp", "x-fal-webhook-signature")


@pytest.fixture(name="open_api")
async def _open_api(serve: Serve) -> AsyncIterator[Served]:
    async with serve(api_debug=True, api_token=TOKEN) as served:
        yield served


async def document(served: Served) -> dict[str, Any]:
    found: dict[str, Any] = (await served.http.get("/openapi.json")).json()
    return found


def codes_of(answer: dict[str, Any]) -> list[str]:
    content = answer["content"].get("application/problem+json", {})
    codes: list[str] = content.get("schema", {}).get("properties", {}).get("code", {}).get("enum", [])
    return codes


CASES: dict[str, tuple[str, str, dict[str, str], bytes, int]] = {
    "a probe": ("POST", PATH, JSON, b'{"test": true}', 200),
    "empty headers": ("POST", PATH, {**JSON, **dict.fromkeys(FAL, "")}, b"{}", 400),
    "no headers": ("POST", PATH, JSON, b"{}", 401),
    "no JSON": ("POST", PATH, {"Content-Type": "text/plain"}, b"{}", 415),
    "compressed": ("POST", PATH, {**JSON, "Content-Encoding": "gzip"}, b"{}", 415),
    "too large": ("POST", PATH, {**JSON, "Content-Length": str(2 << 20)}, b"", 413),
    "another method": ("PUT", PATH, {}, b"", 405),
    "another host": ("POST", PATH, {**JSON, "Host": "evil.example"}, b"{}", 400),
    "a job without a token": ("POST", JOBS, JSON, b"{}", 401),
    "a job without fields": ("POST", JOBS, {**JSON, **BEARER}, b"{}", 400),
    "a job in text": ("POST", JOBS, BEARER, b"{}", 415),
    "a job too large": ("POST", JOBS, {**JSON, **BEARER}, b" " * (65 << 10), 413),
    "a job by PUT": ("PUT", JOBS, {}, b"", 405),
    "health by POST": ("POST", "/health", {}, b"", 405),
    "totals of another host": ("GET", "/api/v1/webhook/status", {"Host": "evil.example"}, b"", 400),
}


async def test_each_answer_stands_in_the_document(open_api: Served) -> None:
    """Status, media type and code of what is answered are those that the document lists for the path."""
    for name, (method, path, headers, body, status) in CASES.items():
        answer = await open_api.http.request(method, path, headers=headers, content=body)
        assert answer.status_code == status, name
        [operation] = (await document(open_api))["paths"][path].values()
        described = operation["responses"][str(status)]
        assert answer.headers["content-type"] in described["content"], name
        assert status < 400 or answer.json()["code"] in codes_of(described), name


@pytest.mark.parametrize("path", ["/readyz", "/api/v1/health", "/api/v1/webhook/status", PATH])
async def test_a_database_that_is_gone_stands_in_the_document(
    open_api: Served, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """503 is described wherever it is answered, in the form in which it comes."""
    described = (await document(open_api))["paths"][path]

    async def broken(_self: Database, *_: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(Database, "read", broken)
    monkeypatch.setattr(Database, "write", broken)
    request_id = bodies.job_id(1)
    body = bodies.success(request_id)
    answer = await (open_api.deliver(request_id, body) if path == PATH else open_api.http.get(path))
    assert answer.status_code == 503
    [operation] = described.values()
    assert answer.headers["content-type"] in operation["responses"]["503"]["content"]
    if "code" in answer.json():
        assert answer.json()["code"] in codes_of(operation["responses"]["503"])


async def test_every_code_of_the_page_stands_in_the_document(open_api: Served) -> None:
    """What docs/errors.md lists is what the document lists; `refused` is for statuses that have no name.

    The operator's pages are no API: `session_required` and `cross_site` are theirs alone.
    """
    text = page("docs/errors.md").partition("<!-- answers:begin -->")[2].partition("<!-- answers:end -->")[0]
    listed = set(re.findall(r"^\| `([a-z_]+)`", text, re.MULTILINE)) - {"refused", "session_required", "cross_site"}
    paths = (await document(open_api))["paths"]
    described = {
        code
        for path in paths.values()
        for operation in path.values()
        for answer in operation["responses"].values()
        for code in codes_of(answer if "content" in answer else {"content": {}})
    }
    assert described <= listed
    assert listed - described == set()
