"""The pages put together: one application of its own, behind one guard."""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from app.dashboard import login
from app.dashboard.guard import SessionGuard
from app.dashboard.pages import PAGES
from app.dashboard.parts import DashboardParts
from app.dashboard.rendering import render, view_of
from app.dashboard.words import say
from app.domain.errors import DatabaseUnavailable, SearchRefused
from app.routers.head import HeadAsGet
from app.routers.problems import problem

log = structlog.get_logger(__name__)


def create_dashboard(parts: DashboardParts) -> ASGIApp:
    """Assemble the pages; nothing of them runs by itself."""
    handlers: Any = {HTTPException: _refuse, DatabaseUnavailable: _unavailable, SearchRefused: _too_much}
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, exception_handlers=handlers)
    app.state.parts = parts
    app.include_router(login.router)
    for page in PAGES:
        app.include_router(page.router)
    return HeadAsGet(SessionGuard(app, parts))


async def _refuse(request: Request, error: HTTPException) -> Response:
    return _answer(request, error.status_code, "not_found" if error.status_code == 404 else "refused", error.detail)  # noqa: PLR2004


async def _unavailable(request: Request, error: DatabaseUnavailable) -> Response:
    answer = _answer(request, 503, error.code, "the database does not answer")
    answer.headers["Retry-After"] = str(error.retry_after)
    return answer


async def _too_much(request: Request, error: SearchRefused) -> Response:
    detail = say(view_of(request).language, f"search.{error.sentence}", **error.facts)
    return _answer(request, 503, "refused", detail)


def _answer(request: Request, status: int, code: str, detail: str) -> Response:
    """Answer a page to people, problem+json to programs."""
    if "text/html" not in request.headers.get("accept", ""):
        return problem(status, code, detail)
    return render(request, "refusal.html", "refusal.title", status=status, code=code, detail=detail)
