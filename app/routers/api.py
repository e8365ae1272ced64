"""What the bot may ask of this server, with its bearer token."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, TypeVar

import structlog
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.responses import JSONResponse, Response

from app.bootstrap.submitting import Submitting
from app.db.registered_jobs import Registration
from app.domain.errors import JobRefused
from app.domain.job import JobKind
from app.domain.quotas import SignatureQuota
from app.routers.operator_access import has_bearer

log = structlog.get_logger(__name__)

router = APIRouter(prefix="/api/v1")
BODY_LIMIT = 64 * 1024  # bytes
ENDPOINT = r"[a-z0-9._-]+(?:/[a-z0-9._-]+){1,4}"
_DOTS = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")

Body = TypeVar("Body", bound=BaseModel)
Text = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Url = Annotated[str, StringConstraints(min_length=8, max_length=2000, pattern=r"^[!-~]+$")]


@dataclass(frozen=True, slots=True)
class ApiParts:
    """What the bot's requests work with. `token` None: the API is closed. `failures` are rationed by address."""

    token: str | None
    failures: SignatureQuota
    kinds: frozenset[JobKind]
    register: Callable[[Registration], Awaitable[bool]]
    submitting: Callable[[], Submitting]


class JobBody(BaseModel):
    """The body of POST /api/v1/jobs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    request_id: Text
    kind: Text
    endpoint: Annotated[str, StringConstraints(max_length=255, pattern=f"^{ENDPOINT}$")]
    status_url: Url | None = None
    response_url: Url | None = None
    subject_id: Annotated[str, StringConstraints(min_length=1, max_length=36, pattern=r"^[!-~]+$")] | None = None
    chat_id: int | None = None
    language: Annotated[str, StringConstraints(max_length=16, pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    steps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


@router.post("/jobs")
async def register_job(request: Request) -> Response:
    """Put on record a job that the bot submitted itself: 201, or 200 for the same again."""
    parts = admitted(request)
    body = await read(request, JobBody)
    is_new = await parts.register(_registration(body, parts.kinds))
    return JSONResponse({"request_id": body.request_id, "status": "registered"}, 201 if is_new else 200)


def _registration(body: JobBody, kinds: frozenset[JobKind]) -> Registration:
    if body.kind not in kinds:
        raise JobRefused(400, "kind_unknown", "kind must be one of: " + ", ".join(sorted(kinds)))
    if _DOTS.search(body.endpoint):
        raise JobRefused(400, "malformed", "endpoint: a path without dot segments")
    if body.kind == JobKind.GENERATION:
        if body.chat_id is None:
            raise JobRefused(400, "chat_missing", "chat_id: a generation's owner is told where the bot says")
    elif body.chat_id is not None or body.language is not None:
        raise JobRefused(400, "owner_from_row", "chat_id and language of a training come from the avatar's row")
    return Registration(**body.model_dump() | {"kind": JobKind(body.kind)})


def admitted(request: Request) -> ApiParts:
    """Let the bot in, and find what it works with.

    Raises JobRefused: 403 without a token of ours, 401 for a wrong one, 429 for many wrong ones.
    """
    parts: ApiParts = request.app.state.api
    if parts.token is None:
        raise JobRefused(403, "api_closed", "API_TOKEN is not set on this server, so nobody may ask")
    if has_bearer(request, parts.token):
        return parts
    address = request.client.host if request.client else None
    if parts.failures.add(address):
        log.warning("api.refused", address=address)
        raise JobRefused(401, "token_wrong", "send Authorization: Bearer with the value of API_TOKEN")
    raise JobRefused(429, "too_many_failures", "too many wrong tokens from this address")


async def read(request: Request, form: type[Body]) -> Body:
    """Read a small JSON body. Raises JobRefused: 413, 415, and 400 that names the field but repeats no value."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise JobRefused(415, "media_type_unsupported", "send Content-Type: application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_LIMIT:
            raise JobRefused(413, "body_too_large", f"at most {BODY_LIMIT} bytes")
    try:
        return form.model_validate_json(bytes(body))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "body"
        raise JobRefused(400, "malformed", f"{field}: {first['msg']}") from None
