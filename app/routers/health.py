"""Is it alive, is it ready, and what has it done so far."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from app import __version__
from app.bootstrap.services import HealthFacts
from app.domain.errors import DatabaseUnavailable
from app.domain.steps import StepTrouble
from app.routers.fal_webhook import PATH

router = APIRouter()
# Answered whatever the Host: who asks here is a load balancer or a monitor, often by an address.
OPEN_PATHS = ("/health", "/livez", "/readyz", "/api/v1/health")


@dataclass(frozen=True, slots=True)
class HealthParts:
    """What the pages about our own state look at.

    `certificate_ends` is None on plain HTTP; `refused` counts by its code what was not taken since the start of this
    process: on the webhooks' paths, and before it became a request.
    """

    service_name: str
    facts: HealthFacts
    worker_is_alive: Callable[[], bool]
    certificate_ends: Callable[[], datetime | None]
    refused: Callable[[], dict[str, int]]


def _parts(request: Request) -> HealthParts:
    parts: HealthParts = request.app.state.health
    return parts


@router.get("/health")
async def health(request: Request) -> Response:
    """Say that the process lives; looks at nothing else."""
    return JSONResponse({"status": "healthy", "service": _parts(request).service_name})


@router.get("/livez")
async def livez() -> Response:
    """Say that the process lives."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """Say whether deliveries can be stored, and nothing else: a replica taken out of service would store none."""
    checks = {"database": await _database(_parts(request))}
    ready = all(state == "ok" for state in checks.values())
    return JSONResponse({"status": "ready" if ready else "not ready", "checks": checks}, 200 if ready else 503)


@router.get("/api/v1/health")
async def api_health(request: Request) -> Response:
    """Say how each part is; only what is ours to mend makes it 503, a step that fails again and again included."""
    parts = _parts(request)
    failing = parts.facts.steps.failing()
    own = {"database": await _database(parts), "worker": _worker(parts, failing)}
    well = all(state == "ok" for state in own.values())
    checks = {**own, "keys": "ok" if parts.facts.keys.current() else "missing", "certificate": _certificate(parts)}
    told = {"status": "healthy" if well else "unhealthy", "checks": checks, "failing": [_step(one) for one in failing]}
    return JSONResponse(told, 200 if well else 503)


@router.get("/api/v1/webhook/status")
async def webhook_status(request: Request) -> Response:
    """Totals of the webhook: no ids, no names."""
    parts = _parts(request)
    totals = await parts.facts.totals()
    now = parts.facts.clock.now()
    ends = parts.certificate_ends()
    oldest = totals.pop("oldest_pending")
    moments = {name: totals.pop(name) for name in ("last_delivery", "last_reconcile")}
    return JSONResponse(
        {
            **totals,
            "oldest_pending_age_seconds": _seconds(None if oldest is None else now - oldest),
            **{name: None if at is None else at.isoformat() for name, at in moments.items()},
            "key_age_seconds": _seconds(parts.facts.keys.age()),
            "address_list_age_seconds": _seconds(parts.facts.addresses.age()),
            "refused": sum(parts.refused().values()),
            "refused_for": [{"reason": code, "times": times} for code, times in parts.refused().items()],
            "certificate_days_left": None if ends is None else (ends - now).days,
        }
    )


@router.get("/")
async def root(request: Request) -> Response:
    """Say what this is."""
    parts = _parts(request)
    return JSONResponse(
        {
            "service": parts.service_name,
            "version": __version__,
            "status": "running",
            "ssl": parts.certificate_ends() is not None,
            "endpoints": {
                "webhook": PATH,
                "health": "/health",
                "api_health": "/api/v1/health",
                "webhook_status": "/api/v1/webhook/status",
                "live": "/livez",
                "ready": "/readyz",
            },
        }
    )


async def is_ready(parts: HealthParts) -> bool:
    """Tell whether deliveries can be stored; what /readyz answers, for whoever started us."""
    return await _database(parts) == "ok"


async def _database(parts: HealthParts) -> str:
    if not parts.facts.is_storing():
        return "unavailable"
    try:
        await parts.facts.write_check()
    except DatabaseUnavailable:
        return "unavailable"
    return "ok"


def _worker(parts: HealthParts, failing: tuple[StepTrouble, ...]) -> str:
    if not parts.worker_is_alive():
        return "stuck"
    return "failing" if failing else "ok"


def _step(trouble: StepTrouble) -> dict[str, Any]:
    """Show a failing step: names of the schema at most, no value of any row."""
    return {
        "step": trouble.step,
        "reason": trouble.reason.value,
        "detail": trouble.why(str),
        "since": trouble.since.isoformat(),
        "times": trouble.times,
    }


def _certificate(parts: HealthParts) -> str:
    ends = parts.certificate_ends()
    if ends is None:
        return "off"
    return "ok" if ends > parts.facts.clock.now() else "expired"


def _seconds(age: timedelta | None) -> Any:
    return None if age is None else round(max(age.total_seconds(), 0.0), 1)
