"""/metrics for Prometheus, and the last refusals in plain words; both for the operator alone."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from typing import Any, Self

import structlog
from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app.bootstrap import HealthFacts, MetricsFacts
from app.catalog import translate
from app.db.figures import Figures
from app.domain.errors import AccessRefused, DatabaseUnavailable
from app.domain.language import Language, Msgid
from app.domain.measures import Measures
from app.domain.quotas import SignatureQuota
from app.domain.refusals import Refusal
from app.fal.keys import Keys
from app.flows.ports import Clock
from app.routers.fal_webhook import WebhookParts
from app.routers.operator_access import OperatorAccess
from app.routers.problems import refusal

log = structlog.get_logger(__name__)

router = APIRouter()
SPELLING = "app.routers.exposition"


@dataclass(frozen=True, slots=True)
class MetricsParts:
    """What these pages look at. `certificate_ends` is None on plain HTTP; `refused` counts by code since the start."""

    access: OperatorAccess
    measures: Measures
    figures: Callable[[], Awaitable[Figures]]
    refused: Callable[[], dict[str, int]]
    probed: Callable[[], int]
    recent_refusals: Callable[[], tuple[Refusal, ...]]
    keys: Keys
    clock: Clock
    certificate_ends: Callable[[], datetime | None]
    language: Language

    @classmethod
    def of(
        cls,
        *,
        token: str | None,
        facts: MetricsFacts,
        health: HealthFacts,
        webhook: WebhookParts,
        certificate_ends: Callable[[], datetime | None],
        language: Language,
    ) -> Self:
        """Gather them; `token` is METRICS_TOKEN."""
        return cls(
            OperatorAccess(token, SignatureQuota(time.monotonic)),
            facts.measures,
            facts.figures,
            webhook.refused,
            webhook.probed,
            webhook.recent_refusals,
            health.keys,
            health.clock,
            certificate_ends,
            language,
        )


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Answer in Prometheus' text format; without the database what this process knows by itself."""
    parts = _parts(request)
    try:
        parts.access.admit(request)
    except AccessRefused as refused:
        return refusal(refused)
    if SPELLING not in sys.modules:  # prometheus_client takes memory and time that only whoever asks should pay for
        await asyncio.to_thread(import_module, SPELLING)
    from app.routers.exposition import TEXT, OwnLook, render  # noqa: PLC0415  as said above

    try:
        figures = await parts.figures()
    except DatabaseUnavailable as error:
        parts.measures.collection_errors += 1
        log.warning("metrics.database_unavailable", cause=str(error))
        figures = None
    age = parts.keys.age()
    look = OwnLook(
        parts.refused(),
        parts.probed(),
        None if age is None else parts.clock.now() - age,
        parts.certificate_ends(),
    )
    return Response(render(parts.measures, look, figures), headers={"content-type": TEXT})


@router.get("/api/v1/webhook/refusals")
async def refusals(request: Request) -> Response:
    """List what this process did not take lately, the newest first, each with a sentence that says why."""
    parts = _parts(request)
    try:
        parts.access.admit(request)
    except AccessRefused as refused:
        return refusal(refused)
    from app.domain.refusal_words import sentence  # noqa: PLC0415  words that only a reader needs

    return JSONResponse(
        {
            "refused": parts.refused(),
            "last": [_plain(refusal, sentence(refusal.code), parts.language) for refusal in parts.recent_refusals()],
        }
    )


def _plain(refusal: Refusal, why: Msgid, language: Language) -> dict[str, Any]:
    return {
        **refusal._asdict(),
        "at": refusal.at.isoformat(),
        "why": translate(why, language).format(code=refusal.code),
    }


def _parts(request: Request) -> MetricsParts:
    parts: MetricsParts = request.app.state.metrics
    return parts
