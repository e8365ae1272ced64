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

from app.routers.openapi import complete

ASSETS = Path(__file__).resolve().parents[1] / "static" / "swagger-ui"

INLINE_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


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
    """Describe the API in OpenAPI 3.1, the webhook included, which is no route of FastAPI's."""
    return complete(get_openapi(title=app.title, version=app.version, routes=app.routes))
