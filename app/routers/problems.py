"""Errors as RFC 9457 problem+json with a stable `code`."""

from collections.abc import Mapping
from http import HTTPStatus

import orjson
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.domain.errors import DatabaseUnavailable, RequestRefused
from app.domain.quotas import FULL_AGAIN

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
CODES = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 500: "internal_error"}


def problem_body(status: int, code: str, detail: str) -> bytes:
    """Return the JSON of one problem. `detail` is one sentence without anything secret."""
    title = HTTPStatus(status).phrase
    return orjson.dumps({"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail})


def problem(status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    """Make the answer out of it."""
    return Response(problem_body(status, code, detail), status, headers, media_type=MEDIA_TYPE)


async def on_refused(_request: Request, error: Exception) -> Response:
    """Answer with what a request was refused for; 401 and 429 say what to send, and when."""
    assert isinstance(error, RequestRefused)
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": str(FULL_AGAIN)}}
    return problem(error.status, error.code, error.detail, headers.get(error.status))


async def on_no_database(_request: Request, error: Exception) -> Response:
    """Answer while the database is away."""
    assert isinstance(error, DatabaseUnavailable)
    return problem(503, error.code, "the database does not answer", {"Retry-After": str(error.retry_after)})


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """Answer what the framework refuses (unknown path, wrong method)."""
    assert isinstance(error, HTTPException)
    code = CODES.get(error.status_code, "refused")
    return problem(error.status_code, code, str(error.detail), _with_head(error.headers))


def _with_head(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Name HEAD beside GET in Allow: `HeadAsGet` answers it."""
    allowed = (headers or {}).get("Allow", "").split(", ")
    if "GET" not in allowed or "HEAD" in allowed:
        return headers
    return {**(headers or {}), "Allow": ", ".join(sorted({*allowed, "HEAD"}))}


async def on_bug(_request: Request, error: Exception) -> Response:
    """Answer what we got wrong; the traceback goes to the log, not to the caller."""
    log.error("http.bug", exc_info=error)
    return problem(500, CODES[500], "this is a bug of the server; it has been logged")
