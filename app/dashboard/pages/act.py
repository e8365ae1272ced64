"""Redrive and ignore: GET rehearses, POST acts on what was rehearsed or says that it has changed."""

import secrets
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from app import __version__
from app.bootstrap.rehearsing import make_rehearse
from app.dashboard.acting import Acts, rows_meant
from app.dashboard.forms import read_form
from app.dashboard.guard import Operator
from app.dashboard.listing import DELIVERIES, MESSAGES, Listing
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.rendering import render, view_of
from app.dashboard.words import say
from app.db import act_progress
from app.db.operator_queries import Act
from app.db.views import figures
from app.domain.errors import RowsChanged, SearchRefused
from app.domain.history import ACTS, EventKind
from app.domain.invented import Invented
from app.flows.act import BulkAct, require_unchanged
from app.flows.operate import Operation

router = APIRouter()
LISTINGS = {listing.place: listing for listing in (DELIVERIES, MESSAGES)}
WHY_LIMIT = 500  # characters of a reason
MENDED = (EventKind.DRIFTED.value, EventKind.RECOVERED.value)


@router.get(f"{ROOT}/{{place}}/act")
async def rehearsal(request: Request, place: str) -> Response:
    """Show what an act would do; nothing is changed."""
    return await _rehearse(request, _listing(place), dict(request.query_params))


@router.post(f"{ROOT}/{{place}}/act")
async def act(request: Request, place: str) -> Response:
    """Act, if the rows still stand as they were rehearsed and the operator says why."""
    parts: DashboardParts = request.app.state.parts
    listing, form = _listing(place), await read_form(request)
    if parts.settings.dashboard_read_only:
        return render(request, "refusal.html", "refusal.title", status=403, code="read_only", detail="")
    why = form.get("why", "").strip()[:WHY_LIMIT]
    if not why:
        return await _rehearse(request, listing, form, status=400, wrong="act.why_missing")
    operation, text, row_id = _asked(form)
    try:
        rows = await rows_meant(parts, listing.queue, operation, text, row_id)
        await require_unchanged(
            parts.database,
            listing.queue,
            operation,
            rows,
            digest=form.get("digest", ""),
            code=__version__,
        )
    except RowsChanged:
        return await _rehearse(request, listing, form, status=409, wrong="act.changed")
    except SearchRefused as refused:
        return _refused(request, refused)
    operator: Operator = request.state.operator
    bulk = BulkAct(
        parts.database,
        parts.clock,
        listing.queue,
        operation,
        rows,
        act=Act(operator.who, why, via="dashboard"),
        invented=Invented.of(parts.settings.invented_artifacts),
        name=(name := secrets.token_urlsafe(12)),
    )
    await _acts(request).start(name, bulk)
    return await progress(request, name)


@router.get(f"{ROOT}/acts/{{name}}")
async def progress(request: Request, name: str) -> Response:
    """Show how far an act is, whichever replica goes through it."""
    parts: DashboardParts = request.app.state.parts
    found = await parts.database.read(act_progress.read, name)
    if found is None:
        raise HTTPException(404, "there is no such act, or it is too old: see what was done")
    is_broken = _acts(request).is_broken(name)
    return render(request, "progress.html", f"act.{found.operation}", name=name, act=found, is_broken=is_broken)


@router.post(f"{ROOT}/acts/{{name}}/cancel")
async def cancel(request: Request, name: str) -> Response:
    """Stop an act before its next batch, whichever replica goes through it."""
    parts: DashboardParts = request.app.state.parts
    operator: Operator = request.state.operator
    await parts.database.write(act_progress.stop, name, operator.who, parts.clock.now())
    return RedirectResponse(f"{ROOT}/acts/{name}", 303)


@router.get(f"{ROOT}/history")
async def history(request: Request) -> Response:
    """List what operators did; `kind` asks for what the server mended by itself."""
    parts: DashboardParts = request.app.state.parts
    asked = request.query_params.get("before", "")
    before = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 19 else None  # noqa: PLR2004  a BIGINT
    kind = request.query_params.get("kind", "")
    kinds = (EventKind(kind),) if kind in MENDED else ACTS
    lines = await parts.database.read(figures.audit, before=before, kinds=kinds)
    chosen = kind if kind in MENDED else ""
    return render(
        request, "audit.html", "page.history", page="history", lines=lines, kinds=("", *MENDED), chosen=chosen
    )


async def _rehearse(
    request: Request, listing: Listing, form: dict[str, str], *, status: int = 200, wrong: str = ""
) -> Response:
    parts: DashboardParts = request.app.state.parts
    operation, text, row_id = _asked(form)
    try:
        rows = await rows_meant(parts, listing.queue, operation, text, row_id)
    except SearchRefused as refused:
        return _refused(request, refused)
    rehearse = make_rehearse(parts.settings, parts.database, parts.bot_tables, parts.clock, parts.kinds)
    found = await rehearse(listing.queue, operation, rows)
    values: dict[str, Any] = {"listing": listing, "text": text, "row_id": row_id, "why": form.get("why", "")}
    return render(
        request,
        "act.html",
        f"act.{operation}",
        status=status,
        page=listing.place,
        found=found,
        wrong=wrong,
        **values,
    )


def _refused(request: Request, refused: SearchRefused) -> Response:
    detail = say(view_of(request).language, f"search.{refused.sentence}", **refused.facts)
    return render(request, "refusal.html", "refusal.title", status=400, code="refused", detail=detail)


def _listing(place: str) -> Listing:
    if place not in LISTINGS:
        raise HTTPException(404, "nothing can be done to these rows")
    return LISTINGS[place]


def _asked(form: dict[str, str]) -> tuple[Operation, str, int | None]:
    row_id = form.get("id", "")
    try:
        operation = Operation(form.get("operation", ""))
    except ValueError:
        raise HTTPException(400, "operation must be redrive or ignore") from None
    is_id = row_id.isascii() and row_id.isdigit() and len(row_id) < 19  # noqa: PLR2004  what a BIGINT holds
    return operation, form.get("q", ""), int(row_id) if is_id else None


def _acts(request: Request) -> Acts:
    state = request.app.state
    if not hasattr(state, "acts"):
        state.acts = Acts(state.parts)
    acts: Acts = state.acts
    return acts
