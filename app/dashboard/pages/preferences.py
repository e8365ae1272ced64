"""How an operator wants the pages: kept in the browser, on no server."""

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.forms import read_form
from app.dashboard.parts import ROOT
from app.dashboard.rendering import KEYS, THEMES, VIEW_COOKIE, View, view_of
from app.dashboard.words import LANGUAGES
from app.domain.language import Language

router = APIRouter()
YEAR = 365 * 86400


@router.post(f"{ROOT}/preferences")
async def prefer(request: Request) -> Response:
    """Keep what was chosen and go back to the page."""
    form, view = await read_form(request), view_of(request)
    chosen = View(
        cast("Language", _one_of(LANGUAGES, form.get("language"), view.language)),
        _one_of(THEMES, form.get("theme"), view.theme),
        _one_of(KEYS, form.get("keys"), view.keys),
    )
    answer = RedirectResponse(way_back(form.get("back", "")), 303)
    answer.set_cookie(
        VIEW_COOKIE, chosen.spelled, max_age=YEAR, path="/", secure=True, httponly=True, samesite="strict"
    )
    return answer


def way_back(path: str) -> str:
    """Return `path` where it leads to one of these pages, else the first page's."""
    is_ours = path == ROOT or path.startswith((f"{ROOT}/", f"{ROOT}?"))
    return path if is_ours and path.isprintable() and "\\" not in path and "//" not in path.partition("?")[0] else ROOT


def _one_of(known: tuple[str, ...], given: str | None, kept: str) -> str:
    return given if given in known else kept
