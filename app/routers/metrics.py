"""/metrics for Prometheus, and the last refusals in plain words; both for the operator alone."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.bootstrap.services import HealthFacts, MetricsFacts
from app.catalog import translate
from app.domain.errors import DatabaseUnavailable
from app.domain.language import Language, Msgid
from app.domain.refusals import Refusal
from app.routers.fal_webhook import WebhookParts
from app.routers.operator_access import OperatorAccess

log = structlog.get_logger(__name__)

router = APIRouter()
SPELLING = "app.routers.exposition"


@dataclass(frozen=True, slots=True)
class MetricsParts:
    """What these pages look at. `certificate_ends` is None on plain HTTP."""

    access: OperatorAccess
    facts: MetricsFacts
    health: HealthFacts
    webhook: WebhookParts
    certificate_ends: Callable[[], datetime | None]
    language: Language


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Answer in Prometheus' text format; without the database what this process knows by itself."""
    parts = _admitted(request)
    if SPELLING not in sys.modules:  # prometheus_client takes memory and time that only whoever asks should pay for
        await asyncio.to_thread(import_module, SPELLING)
    from app.routers.exposition import TEXT, OwnLook, render  # noqa: PLC0415  as said above

    try:
        figures = await parts.facts.figures()
    except DatabaseUnavailable as error:
        parts.facts.measures.collection_errors += 1
        log.warning("metrics.database_unavailable", cause=str(error))
        figures = None
    age = parts.health.keys.age()
    look = OwnLook(
        parts.webhook.refused(),
        parts.webhook.probed(),
        None if age is None else parts.health.clock.now() - age,
        parts.certificate_ends(),
    )
    return Response(render(parts.facts.measures, look, figures), headers={"content-type": TEXT})


@router.get("/api/v1/webhook/refusals")
async def refusals(request: Request) -> Response:
    """List what this process did not take lately, the newest first, each with a sentence that says why."""
    parts = _admitted(request)
    from app.domain.refusal_words import sentence  # noqa: PLC0415  words that only a reader needs

    return JSONResponse(
        {
            "refused": parts.webhook.refused(),
            "last": [
                _plain(refusal, sentence(refusal.code), parts.language) for refusal in parts.webhook.recent_refusals()
            ],
        }
    )


def _plain(refusal: Refusal, why: Msgid, language: Language) -> dict[str, Any]:
    return {
        **refusal._asdict(),
        "at": refusal.at.isoformat(),
        "why": translate(why, language).format(code=refusal.code),
    }


def _admitted(request: Request) -> MetricsParts:
    parts: MetricsParts = request.app.state.metrics
    parts.access.admit(request)
    return parts
