"""Deliveries, messages and jobs: the lists, one of each, and how a search may go on."""

from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.dashboard.curl import as_curl
from app.dashboard.listing import DELIVERIES, JOBS, MESSAGES, list_page
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.remedies import remedy_of
from app.dashboard.rendering import render, view_of
from app.db.operator_queries import Queue
from app.db.views.one import one_delivery, one_job, one_message
from app.domain.search import QUEUES, suggest

router = APIRouter()
BODY_SHOWN = 256 * 1024  # bytes


@router.get(DELIVERIES.path)
async def deliveries(request: Request) -> Response:
    """List what fal delivered."""
    return await list_page(request, DELIVERIES)


@router.get(MESSAGES.path)
async def messages(request: Request) -> Response:
    """List what owners and the operator are told."""
    return await list_page(request, MESSAGES)


@router.get(JOBS.path)
async def jobs(request: Request) -> Response:
    """List what fal works on."""
    return await list_page(request, JOBS)


@router.get(f"{ROOT}/suggest")
async def suggestions(request: Request) -> Response:
    """Offer how a search may go on, as the options of its field."""
    queue, text = request.query_params.get("queue", ""), request.query_params.get("q", "")
    found = suggest(text, queue) if queue in QUEUES else []
    return render(request, "suggestions.html", "page.now", suggestions=found, text=text)


@router.get(DELIVERIES.path + "/{row_id}")
async def delivery(request: Request, row_id: str) -> Response:
    """Show one delivery: its way with times, its bytes, and what else the avatar got."""
    parts: DashboardParts = request.app.state.parts
    found = await parts.database.read(one_delivery, _id(row_id))
    if found is None:
        raise HTTPException(404, "no such delivery")
    row, body = found.row, found.row["body"]
    paths = {kind.name: kind.path for kind in parts.kinds}
    url = f"https://{parts.settings.api_domain}:{parts.settings.api_port}{paths.get(row['kind'], '')}"
    return render(
        request,
        "delivery.html",
        "one.delivery",
        page=DELIVERIES.place,
        found=found,
        found_remedy=remedy_of(view_of(request).language, Queue.DELIVERIES, row),
        row=row,
        facts=_facts(row, "body", "headers"),
        body=None if body is None else _text(body),
        size=None if body is None else len(body),
        headers=orjson.loads(row["headers"]),
        curl=None if body is None else as_curl(url, orjson.loads(row["headers"]), body),
    )


@router.get(MESSAGES.path + "/{row_id}")
async def message(request: Request, row_id: str) -> Response:
    """Show one message."""
    parts: DashboardParts = request.app.state.parts
    found = await parts.database.read(one_message, _id(row_id))
    if found is None:
        raise HTTPException(404, "no such message")
    row, lines = found
    found_remedy = remedy_of(view_of(request).language, Queue.NOTIFICATIONS, row)
    return render(
        request,
        "message.html",
        "one.message",
        page=MESSAGES.place,
        row=row,
        facts=_facts(row),
        lines=lines,
        found_remedy=found_remedy,
    )


@router.get(JOBS.path + "/{row_id}")
async def job(request: Request, row_id: str) -> Response:
    """Show one job."""
    parts: DashboardParts = request.app.state.parts
    found = await parts.database.read(one_job, _id(row_id))
    if found is None:
        raise HTTPException(404, "no such job")
    found_remedy = remedy_of(view_of(request).language, Queue.JOBS, found.row)
    return render(
        request,
        "job.html",
        "one.job",
        page=JOBS.place,
        row=found.row,
        facts=_facts(found.row),
        found=found,
        found_remedy=found_remedy,
    )


def _id(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004  what a BIGINT holds
        raise HTTPException(404, "no such row")
    return int(text)


def _facts(row: dict[str, Any], *left_out: str) -> list[tuple[str, Any]]:
    """List the columns that hold something, under their own names: what a query, a log and a page call it is one."""
    return [(name, value) for name, value in row.items() if name not in left_out and value is not None]


def _text(body: bytes) -> str:
    return body[:BODY_SHOWN].decode("utf-8", "backslashreplace")
