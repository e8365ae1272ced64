"""/docs and /openapi.json, with API_DEBUG only: what each endpoint may answer, and a page whose files are all ours."""

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from app.fal.signature import SIGNED_HEADERS
from app.flows.kinds import GENERATION_PATH, TRAINING_PATH
from app.routers.api import JobBody
from app.routers.problems import MEDIA_TYPE

Codes = Mapping[int, tuple[str, ...]]

JOBS = "/api/v1/jobs"
TRAININGS = "/api/v1/trainings"
METRICS = "/metrics"
JSON = "application/json"
# What the listener refuses before a request is looked at, and what the framework does: everywhere.
EVERYWHERE: Codes = {
    400: ("malformed_request", "host_not_allowed"),
    404: ("not_found",),
    405: ("method_not_allowed",),
    408: ("request_timeout",),
    431: ("headers_too_large",),
    500: ("internal_error",),
    505: ("version_not_supported",),
}
WEBHOOK: Codes = {
    400: ("malformed_request", "host_not_allowed", "header_malformed", "body_incomplete"),
    401: ("signature_missing", "signature_malformed", "signature_invalid", "timestamp_outside_window"),
    403: ("account_foreign", "address_not_listed"),
    413: ("body_too_large",),
    415: ("media_type_unsupported", "encoding_unsupported"),
    429: ("signatures_failing",),
    503: ("keys_unavailable", "bodies_crowded", "database_unavailable", "internal_error"),
}
API: Codes = {
    400: (
        *EVERYWHERE[400],
        "malformed",
        "kind_unknown",
        "owner_from_row",
        "chat_missing",
        "chat_unknown",
        "foreign_url",
    ),
    401: ("token_wrong",),
    403: ("api_closed",),
    409: ("job_differs",),
    413: ("body_too_large",),
    415: ("media_type_unsupported",),
    429: ("too_many_failures",),
    503: ("database_unavailable",),
}
TRAINING: Codes = {
    **{status: codes for status, codes in API.items() if status not in (400, 409)},
    404: ("not_found", "training_unknown"),
    503: ("database_unavailable", "no_fal_key", "fal_key_refused", "fal_unavailable"),
}
SUBMISSION: Codes = {
    **TRAINING,
    503: (*TRAINING[503], "row_not_writable"),
    400: (*EVERYWHERE[400], "malformed", "too_expensive", "trainer_unsupported", "fal_refused"),
    402: ("account_exhausted",),
    404: ("not_found", "avatar_unknown"),
    409: ("at_work", "key_reused"),
    424: ("submit_unknown",),
}
DATABASE: Codes = {503: ("database_unavailable",)}
OPERATORS: Codes = {401: ("token_wrong",), 403: ("metrics_closed",), 429: ("too_many_failures",)}
REFUSALS: Mapping[tuple[str, str], Codes] = {
    (TRAINING_PATH, "post"): WEBHOOK,
    (GENERATION_PATH, "post"): WEBHOOK,
    (JOBS, "post"): API,
    (TRAININGS, "post"): SUBMISSION,
    (f"{TRAININGS}/{{request_id}}", "get"): TRAINING,
    (f"{TRAININGS}/{{request_id}}", "delete"): TRAINING,
    ("/api/v1/webhook/status", "get"): DATABASE,
    ("/api/v1/webhook/refusals", "get"): OPERATORS,
    (METRICS, "get"): OPERATORS,
}
OWN_503 = ("/readyz", "/api/v1/health")  # these say with a 503 how they are, in the form of their 200
HEADERS_OF: Mapping[int, str] = {405: "Allow", 429: "Retry-After", 503: "Retry-After"}
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "stable; see docs/errors.md"},
        "detail": {"type": "string", "description": "a sentence for people"},
    },
}
RECEIVED: dict[str, Any] = {
    "type": "object",
    "required": ["status", "request_id"],
    "properties": {
        "status": {"const": "received"},
        "request_id": {"type": ["string", "null"]},
        "test": {"const": True, "description": "an operator's unsigned probe: nothing was stored"},
        "checks": {"type": "object", "description": "what a real delivery would have met"},
    },
}
REGISTERED: dict[str, Any] = {
    "type": "object",
    "required": ["request_id", "status"],
    "properties": {"request_id": {"type": "string"}, "status": {"const": "registered"}},
}


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add to a document of FastAPI's what it cannot know: the webhook, bodies, and every refusal by its codes."""
    paths: dict[str, dict[str, Any]] = document["paths"]
    paths[TRAINING_PATH] = {"post": _webhook("fal's webhook", "fal_webhook")}
    paths[GENERATION_PATH] = {"post": _webhook("fal's webhook for images", "fal_webhook_generation")}
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    if JOBS in paths:
        paths[JOBS]["post"] |= _jobs()
        document["components"].setdefault("securitySchemes", {})["ApiToken"] = {"type": "http", "scheme": "bearer"}
    if METRICS in paths:
        text = {"text/plain": {"schema": {"type": "string"}}}
        paths[METRICS]["get"]["responses"]["200"] = {"description": "the text format of Prometheus", "content": text}
    for path, operations in paths.items():
        for method, operation in operations.items():
            answers = operation.setdefault("responses", {})
            if path in OWN_503:
                answers["503"] = {"description": "not all is well", "content": {JSON: {"schema": {"type": "object"}}}}
            for status, codes in {**EVERYWHERE, **REFUSALS.get((path, method), {})}.items():
                answers.setdefault(str(status), _refusal(status, codes))
    return document


def _refusal(status: int, codes: tuple[str, ...]) -> dict[str, Any]:
    schema = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"status": {"const": status}, "code": {"enum": list(codes)}},
    }
    description = f"{HTTPStatus(status).phrase}: {', '.join(codes)}"
    told = {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}
    name = "WWW-Authenticate" if codes == API[401] else HEADERS_OF.get(status)
    return told if name is None else {**told, "headers": {name: {"schema": {"type": "string"}}}}


def _answer(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _webhook(summary: str, name: str) -> dict[str, Any]:
    # None of the four headers is required: without any, an operator's probe is answered, and the rest with a 401.
    text = {"type": "string"}
    headers = [{"name": h.decode(), "in": "header", "required": False, "schema": text} for h in SIGNED_HEADERS]
    kind = {"type": "string", "enum": ["portrait", "style"]}
    query = {"name": "training_type", "in": "query", "required": False, "schema": kind}
    return {
        "summary": summary,
        "operationId": name,
        "parameters": [*headers, query],
        "requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object"}}}},
        "responses": {"200": _answer("stored, or stored before; or a probe's answer", RECEIVED)},
    }


def _jobs() -> dict[str, Any]:
    body = {key: value for key, value in JobBody.model_json_schema().items() if key != "title"}
    return {
        "security": [{"ApiToken": []}],
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": {
            "200": _answer("registered before, with the same fields", REGISTERED),
            "201": _answer("registered", REGISTERED),
        },
    }


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
