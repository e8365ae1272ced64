"""The doctor's findings, on demand: the examination is a process of its own, and the receiver never waits for it."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.core.setting_sources import environment
from app.dashboard.parts import ROOT, DashboardParts
from app.dashboard.remedies import pasted
from app.dashboard.rendering import render, view_of
from app.domain.language import Language

log = structlog.get_logger(__name__)

router = APIRouter()
COMMAND = (sys.executable, "-m", "app.cli", "doctor", "--json")
PATIENCE = 45.0  # s; a proxy in front waits for 60


@router.get(f"{ROOT}/doctor")
async def doctor_page(request: Request) -> Response:
    """Offer the examination; looking costs nothing."""
    return _page(request)


@router.post(f"{ROOT}/doctor")
async def examine(request: Request) -> Response:
    """Examine and show what was found. One examination at a time."""
    state = request.app.state
    if getattr(state, "is_examining", False):
        return _page(request, status=409, wrong="doctor.busy")
    state.is_examining = True
    clock, began = asyncio.get_running_loop().time, asyncio.get_running_loop().time()
    try:
        findings = await _findings(state.parts, view_of(request).language)
    finally:
        state.is_examining = False
    if findings is None:
        return _page(request, status=503, wrong="doctor.failed")
    return _page(request, findings=findings, took=round(clock() - began, 1))


async def _findings(parts: DashboardParts, language: Language) -> list[dict[str, Any]] | None:
    """Run the command in the reader's language; None where it takes too long, we stop, or its answer cannot be read."""
    doctor = await asyncio.create_subprocess_exec(
        *COMMAND,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**environment(), "OPERATOR_LANGUAGE": language},
    )
    answer = asyncio.ensure_future(doctor.communicate())
    leaving = asyncio.ensure_future(parts.leaving.wait())
    try:
        await asyncio.wait((answer, leaving), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            return None
        found = orjson.loads(answer.result()[0])
    except orjson.JSONDecodeError:
        log.warning("dashboard.doctor_failed", code=doctor.returncode)
        return None
    finally:
        leaving.cancel()
        if doctor.returncode is None:
            with suppress(ProcessLookupError):
                doctor.kill()
            await answer
    if not isinstance(found, list):
        return None
    return [{**one, "command": pasted(one["command"]) if one["command"] else ""} for one in found]


def _page(
    request: Request,
    *,
    status: int = 200,
    wrong: str = "",
    findings: list[dict[str, Any]] | None = None,
    took: float = 0.0,
) -> Response:
    return render(
        request,
        "doctor.html",
        "page.doctor",
        status=status,
        page="doctor",
        wrong=wrong,
        findings=findings,
        took=took,
        own=pasted("aisha-webhook doctor"),
    )
