"""Pages out of templates: every value is escaped, and no template writes a style or a script."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from app import __version__
from app.core.text import one_line
from app.dashboard.guard import cookie
from app.dashboard.parts import DashboardParts
from app.dashboard.words import LANGUAGES, say
from app.domain.language import Language

VIEW_COOKIE = "__Host-aisha-view"
THEMES = ("auto", "light", "dark")
KEYS = ("on", "off")
MINUTE, HOUR, DAY = 60, 3600, 86400
PAGES = ("", "deliveries", "messages", "jobs", "errors", "charts", "certificate", "doctor", "history")


@dataclass(frozen=True, slots=True)
class View:
    """How an operator wants the pages: language, colours, and whether single keys do something."""

    language: Language
    theme: str
    keys: str

    @property
    def spelled(self) -> str:
        """What the cookie holds."""
        return f"{self.language}.{self.theme}.{self.keys}"


def view_of(request: Request) -> View:
    """Read the view from its cookie; what is not known there is as the settings have it."""
    parts: DashboardParts = request.app.state.parts
    words = [*(cookie(request.headers, VIEW_COOKIE) or "").split("."), "", "", ""]
    language = cast("Language", words[0]) if words[0] in LANGUAGES else parts.settings.operator_language
    theme = words[1] if words[1] in THEMES else "auto"
    return View(language, theme, words[2] if words[2] in KEYS else "on")


def render(request: Request, template: str, title: str, *, status: int = 200, **values: Any) -> Response:
    """Make a page. `title` is a key of the words; `page` among the values marks the place in the navigation."""
    parts: DashboardParts = request.app.state.parts
    view = view_of(request)
    html = (
        _templates()
        .get_template(template)
        .render(
            {
                "view": view,
                "_": partial(say, view.language),
                "title": say(view.language, title),
                "operator": getattr(request.state, "operator", None),
                "read_only": parts.settings.dashboard_read_only,
                "now": parts.clock.now(),
                "version": __version__,
                "pages": PAGES,
                "page": None,
                "status": status,
                "here": str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""),
                **values,
            }
        )
    )
    return HTMLResponse(html, status)


@cache
def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters.update(moment=moment, iso=iso, span=span, shown=shown)
    return made


def _visible(value: Any) -> Any:
    """Write characters that show nothing, or turn the text around them, as escapes; line feeds stay."""
    if type(value) is not str or value.isprintable():
        return value
    return "\n".join(map(one_line, value.split("\n")))


def moment(at: datetime | None) -> str:
    """Spell a moment in UTC to the second."""
    return "—" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def iso(at: datetime | None) -> str:
    """Spell a moment for programs."""
    return "" if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds")


def span(length: timedelta | float | None) -> str:
    """Spell a length of time in its two largest units.

    >>> span(timedelta(seconds=0.25)), span(75.0), span(7500), span(200000), span(None)
    ('0.25 s', '1 min 15 s', '2 h 05 min', '2 d 07 h', '—')
    """
    if length is None:
        return "—"
    seconds = length.total_seconds() if isinstance(length, timedelta) else float(length)
    if seconds < 0:
        return f"−{span(-seconds)}"
    if seconds < MINUTE:
        return f"{seconds:.3g} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE:.0f} min {seconds % MINUTE:02.0f} s"
    if seconds < DAY:
        return f"{seconds // HOUR:.0f} h {seconds % HOUR // MINUTE:02.0f} min"
    return f"{seconds // DAY:.0f} d {seconds % DAY // HOUR:02.0f} h"


def shown(value: object) -> str:
    """Spell any value of a row."""
    if value is None or value == "":
        return "—"
    return moment(value) if isinstance(value, datetime) else str(value)
