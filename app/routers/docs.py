"""/docs and /openapi.json, with API_DEBUG only; no file comes from elsewhere."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.flows.kinds import GENERATION_PATH
from app.routers.fal_webhook import PATH

ASSETS = Path(__file__).resolve().parents[1] / "static" / "swagger-ui"

INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
SIGNED_HEADERS = (
    "X-Fal-Webhook-Request-Id",
    "X-Fal-Webhook-User-Id",
    "X-Fal-Webhook-Timestamp",
    "X-Fal-Webhook-Signature",
)
ANSWERS = {
    "200": "stored, or stored before",
    "400": "malformed headers",
    "401": "signature or clock",
    "403": "another account, or an address that is not fal's",
    "413": "body too large",
    "415": "not application/json, or compressed",
    "429": "too many wrong signatures from this address",
    "503": "cannot be judged or stored now; send again after Retry-After",
}


def serve_docs(app: FastAPI) -> None:
    """Add /docs and /openapi.json to an application that has none."""

    async def schema(_request: Request) -> Response:
        return JSONResponse(describe(app))

    async def page(_request: Request) -> Response:
        answer = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="data:,",
        )
        answer.headers["Content-Security-Policy"] = allowing(bytes(answer.body))
        return answer

    app.router.routes.extend(
        [
            Route("/openapi.json", schema),
            Route("/docs", page),
            Mount("/docs/assets", StaticFiles(directory=ASSETS)),
        ]
    )


def allowing(html: bytes) -> str:
    """Write the policy under which this page works: our own files, and the inline scripts that it came with."""
    scripts = [b64encode(sha256(script).digest()).decode() for script in INLINE_SCRIPT.findall(html)]
    hashes = "".join(f" 'sha256-{digest}'" for digest in scripts)
    return (
        f"default-src 'self'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; object-src 'none'; frame-ancestors 'none'"
    )


def describe(app: FastAPI) -> dict[str, Any]:
    """Describe the API in OpenAPI 3.1; the webhooks are described here because they are no FastAPI routes."""
    document = get_openapi(title=app.title, version=app.version, routes=app.routes)
    document["paths"][PATH] = _webhook("fal's webhook", "fal_webhook")
    document["paths"][GENERATION_PATH] = _webhook("fal's webhook for images", "fal_webhook_generation")
    return document


def _webhook(summary: str, name: str) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "operationId": name,
            "parameters": [
                {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
                for name in SIGNED_HEADERS
            ],
            "requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
            "responses": {status: {"description": text} for status, text in ANSWERS.items()},
        }
    }
