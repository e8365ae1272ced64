"""Errors by reason and period, and the charts."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.catalog import translate
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.remedies import meaning
from app.dashboard.rendering import render, view_of
from app.dashboard.svg import draw
from app.dashboard.words import say
from app.db.views import charts as series
from app.db.views import figures
from app.domain.errors import SearchRefused
from app.domain.refusal_words import sentence
from app.domain.search import Search, spell_search

router = APIRouter()
SHOWN = 50  # refusals
QUANTILES = ("p50", "p95")
PLACES = {"deliveries": "deliveries", "notifications": "messages", "jobs": "jobs"}


@router.get(f"{ROOT}/errors")
async def errors_page(request: Request) -> Response:
    """Group what went wrong by its reason; each figure leads to its rows."""
    parts: DashboardParts = request.app.state.parts
    language, wrong, found = view_of(request).language, "", []
    try:
        found = await parts.database.read(figures.errors, parts.clock.now())
    except SearchRefused as refused:
        wrong = say(language, f"search.{refused.sentence}", **refused.facts)
    return render(
        request,
        "errors.html",
        "page.errors",
        page="errors",
        groups=[(group, _links(group), meaning(language, group.reason)) for group in found],
        periods=figures.PERIODS,
        wrong=wrong,
        refusals=[
            (one, translate(sentence(one.code), language).format(code=one.code)) for one in parts.refusals()[:SHOWN]
        ],
    )


def _links(group: figures.ErrorGroup) -> dict[str, str]:
    place = f"{ROOT}/{PLACES[group.queue]}"
    search = spell_search(Search(reason=group.reason or None))
    links = {name: f"{place}?{urlencode({'q': f'{search} after:{name}'.strip()})}" for name in figures.PERIODS}
    return {**links, "all": f"{place}?{urlencode({'q': search})}"}


@router.get(f"{ROOT}/charts")
async def charts_page(request: Request) -> Response:
    """Draw what happened, each chart with its table."""
    parts: DashboardParts = request.app.state.parts
    asked = request.query_params.get("period", "")
    period = asked if asked in series.STEPS else "24h"
    found = await parts.database.read(series.charts, parts.clock.now(), period)
    labels = [_label(at, found.step) for at in found.moments]
    drawn: dict[str, tuple[Any, float | None]] = {
        "applied": (found.applied, None),
        "told": (found.told, None),
        "troubles": (found.troubles, None),
        "success": ([None if one is None else one * 100 for one in found.success], 100.0),
        "oldest": (found.oldest, None),
    }
    drawings = [
        (key, draw(values, labels, top=top), list(zip(found.moments, values, strict=True)))
        for key, (values, top) in drawn.items()
    ]
    times = [(f"{trainer} {name}", getattr(wait, name)) for trainer, wait in found.waits.items() for name in QUANTILES]
    return render(
        request,
        "charts.html",
        "page.charts",
        page="charts",
        drawings=drawings,
        waits=found.waits,
        waits_drawn=draw([wait for _, wait in times], [name for name, _ in times]),
        period=period,
        periods=series.STEPS,
    )


def _label(at: datetime, step: timedelta) -> str:
    return f"{at:%d.%m %H:%M}" if step >= timedelta(hours=1) else f"{at:%H:%M}"
