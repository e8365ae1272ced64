"""The files that pages are made of, by name: no path is ever made of what was asked for."""

from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.dashboard.parts import ROOT

router = APIRouter()
FOLDER = Path(__file__).parents[1] / "static"
FILES = {
    "htmx.min.js": ("htmx/htmx.min.js", "text/javascript"),
    "pico.min.css": ("pico/pico.min.css", "text/css"),
    "dashboard.css": ("dashboard.css", "text/css"),
    "dashboard.js": ("dashboard.js", "text/javascript"),
}
KEPT = {"Cache-Control": "public, max-age=31536000, immutable"}  # its address changes with the version


@router.get(f"{ROOT}/static/{{name}}")
async def static(request: Request, name: str) -> Response:
    """Answer one file."""
    if name not in FILES:
        raise HTTPException(404, "no such file")
    path, kind = FILES[name]
    return Response(_content(path), headers=KEPT if request.url.query else None, media_type=kind)


@cache
def _content(path: str) -> bytes:
    return (FOLDER / path).read_bytes()
