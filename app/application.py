"""The application: routes, lanes and services put together, and served."""

import gc
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from app import __version__
from app.bootstrap.background import in_background
from app.bootstrap.running import running
from app.bootstrap.services import Ingest
from app.core.config import Settings
from app.core.console import say
from app.core.setting_sources import environment
from app.dashboard.opening import DashboardLane
from app.dashboard.parts import DashboardParts
from app.domain.errors import DatabaseUnavailable, RequestRefused
from app.domain.quotas import MemoryQuota, SignatureQuota
from app.fal.cdn import WayOut
from app.routers import api, health, metrics, trainings
from app.routers.api import ApiParts
from app.routers.fal_webhook import PATH, WebhookLane, WebhookParts
from app.routers.head import HeadAsGet
from app.routers.health import HealthParts
from app.routers.lean_lane import LeanLane
from app.routers.metrics import MetricsParts
from app.routers.openapi import serve_docs
from app.routers.operator_access import OperatorAccess
from app.routers.problems import on_bug, on_http_exception, on_no_database, on_refused
from app.server.banner import Banner, still_to_do
from app.server.hosts import HostGuard
from app.server.lifespan import HOOKS, Hooks
from app.server.listener import LOOPBACK, Listener, narrow
from app.server.proxies import ClientAddress
from app.server.run import serve
from app.server.security_headers import SecurityHeaders
from app.server.systemd import inherited_socket
from app.server.whole_answer import send_json
from app.worker import Worker

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.live import LiveContext

log = structlog.get_logger(__name__)

GC_YOUNG = 20_000  # objects between two looks of the collector: a delivery leaves no cycles behind

CertificateEnds = Callable[[], datetime | None]


def create_app(settings: Settings, tls: "LiveContext | None" = None, cdn: WayOut | None = None) -> FastAPI:
    """Assemble the application; nothing is opened before its lifespan begins.

    `tls` is what it is served with; `cdn` the way to fal's CDN where that is a twin's, which no setting can say.
    """
    ends: CertificateEnds = (lambda: None) if tls is None else (lambda: tls.served.ends)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, object]]:
        async with running(settings, tls, cdn) as services:
            worker = Worker.of(services.work, settings.poll_interval)
            async with in_background(worker.run(), worker.stop):
                app.state.webhook_parts = _webhook_parts(settings, services.ingest)
                app.state.api = _api_parts(settings, services.ingest)
                webhook: WebhookParts = app.state.webhook_parts
                app.state.dashboard = pages = DashboardParts.of(settings, services, tls, webhook.recent_refusals)
                access = OperatorAccess(_secret(settings.metrics_token), SignatureQuota(time.monotonic))
                app.state.metrics = MetricsParts(
                    access, services.metrics, services.health, webhook, ends, settings.operator_language
                )
                app.state.health = HealthParts(
                    settings.service_name, services.health, worker.is_alive, ends, webhook.refused
                )
                yield {
                    HOOKS: Hooks(
                        is_ready=lambda: health.is_ready(app.state.health),
                        is_alive=services.ingest.accept.is_running,
                        on_stop=pages.also_leaving(services.work.notify.stop),
                        is_expected=services.work.addresses.allows,
                        is_settled=services.work.keys.is_settled,
                        refusals=webhook.lines.counted,
                        keep=webhook.keep,
                    )
                }

    app = FastAPI(
        title=settings.service_name,
        version=__version__,
        lifespan=lifespan,
        redirect_slashes=False,  # a 3xx ends fal's delivery for good
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        exception_handlers={
            HTTPException: on_http_exception,
            RequestRefused: on_refused,
            DatabaseUnavailable: on_no_database,
            Exception: on_bug,
        },
    )
    app.include_router(health.router)
    app.include_router(api.router)
    app.include_router(trainings.router)
    app.include_router(metrics.router)
    if settings.api_debug:
        serve_docs(app)
    app.add_middleware(CORSMiddleware, allow_origins=list(settings.cors_origins), allow_methods=["GET", "POST"])
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HeadAsGet)
    app.add_middleware(DashboardLane)
    return app


def enclose(app: FastAPI, settings: Settings) -> ASGIApp:
    """Put before the framework what every request, or every delivery, passes."""

    def parts() -> WebhookParts:
        found: WebhookParts = app.state.webhook_parts
        return found

    lane = WebhookLane(app, parts)
    hosts = HostGuard(lane, settings.allowed_hosts, health.OPEN_PATHS, lane.on_host_refused)
    clients = ClientAddress(hosts, settings.forwarded_allow_ips)
    return LeanLane(clients, parts, clients.client_of, hosts.allows_host, lane.refuse, send_json)


def _webhook_parts(settings: Settings, ingest: Ingest) -> WebhookParts:
    kinds = {kind.path: kind for kind in ingest.kinds}
    return WebhookParts(kinds, ingest.accept, ingest.clock, MemoryQuota(settings.max_body_bytes))


def _secret(token: SecretStr | None) -> str | None:
    return None if token is None else token.get_secret_value()


def _api_parts(settings: Settings, ingest: Ingest) -> ApiParts:
    return ApiParts(
        _secret(settings.api_token),
        SignatureQuota(time.monotonic),
        frozenset(kind.name for kind in ingest.kinds if kind.endpoints(None)),
        ingest.register,
        ingest.submitting,
    )


def run(settings: Settings, tls: "LiveContext | None", cdn: WayOut | None = None) -> int:
    """Serve until a signal stops it; return the exit code. `cdn` is as in `create_app`."""
    for warning in settings.warnings():
        log.warning("settings.warning", text=warning)
    listener = Listener(
        settings.api_host,
        settings.api_port,
        tls,
        client_timeout=settings.client_timeout,
        max_body_bytes=settings.max_body_bytes,
        max_connections=settings.max_connections,
        spared=(*LOOPBACK, *settings.forwarded_allow_ips),
        language=settings.operator_language,
    )
    gc.enable()
    gc.freeze()  # what lives as long as the process need not be looked at again, least of all on the way out
    gc.set_threshold(GC_YOUNG, 20, 20)
    inherited = inherited_socket(environment())
    if inherited is not None:
        narrow(inherited, listener)
    app = create_app(settings, tls, cdn)
    return serve(enclose(app, settings), listener, partial(_show_banner, app, settings, tls), inherited)


def _show_banner(app: FastAPI, settings: Settings, tls: "LiveContext | None", local_url: str) -> None:
    served = None if tls is None else tls.served
    has_keys = bool(app.state.health.facts.keys.current())
    scheme = "http" if tls is None else "https"
    banner = Banner(
        local_url,
        settings.fal_webhook_url or f"{scheme}://{settings.api_domain}:{settings.api_port}{PATH}",
        None if served is None else served.fingerprint,
        still_to_do(settings, has_keys=has_keys, is_self_signed=served is not None and served.is_self_signed),
    )
    say(banner.text(settings.operator_language))
