"""Trainings for the bot: submitted here, looked at, cancelled. All with its bearer token."""

import re
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import JSONResponse, Response

from app.domain.errors import JobRefused
from app.domain.submission import KEY_LIMIT, STEPS_LEAST, STEPS_MOST, TRIGGER_LIMIT, URL_LIMIT
from app.domain.trainer import Trainer
from app.flows.submit import WantedTraining
from app.routers.api import admitted, read

router = APIRouter(prefix="/api/v1/trainings")

_REQUEST_ID = re.compile(r"[!-~]{1,255}")
Printable = r"^[!-~]+$"


class TrainingBody(BaseModel):
    """The body of POST /api/v1/trainings."""

    model_config = ConfigDict(extra="forbid", strict=True)

    avatar_id: Annotated[str, StringConstraints(min_length=1, max_length=36, pattern=r"^[0-9A-Za-z-]+$")]
    images_url: Annotated[str, StringConstraints(min_length=8, max_length=URL_LIMIT, pattern=Printable)]
    type: Literal["portrait", "style"]
    idempotency_key: Annotated[str, StringConstraints(min_length=1, max_length=KEY_LIMIT, pattern=Printable)]
    trigger: (
        Annotated[str, StringConstraints(min_length=1, max_length=TRIGGER_LIMIT, pattern=r"^[\w][\w .-]*$")] | None
    ) = None
    steps: Annotated[int, Field(ge=STEPS_LEAST, le=STEPS_MOST)] | None = None


@router.post("")
async def submit_training(request: Request) -> Response:
    """Submit a training to fal: 202 with its request id, the same for the same idempotency key."""
    parts = admitted(request)
    body = await read(request, TrainingBody)
    wanted = WantedTraining(
        body.avatar_id, body.images_url, Trainer(body.type), body.idempotency_key, body.trigger, body.steps
    )
    request_id = await parts.submitting().submit(wanted)
    return JSONResponse({"request_id": request_id, "status": "submitted"}, 202)


@router.get("/{request_id}")
async def show_training(request: Request, request_id: str) -> Response:
    """Tell how far a training is."""
    parts = admitted(request)
    found = await parts.submitting().cancel.look(_checked(request_id))
    return JSONResponse(found.told())


@router.delete("/{request_id}")
async def cancel_training(request: Request, request_id: str) -> Response:
    """Ask fal to cancel a training: 202, or 200 where it has ended already; nothing of it is overwritten."""
    parts = admitted(request)
    asked = await parts.submitting().cancel(_checked(request_id))
    status = "cancel_requested" if asked else "already_ended"
    return JSONResponse({"request_id": request_id, "status": status}, 202 if asked else 200)


def _checked(request_id: str) -> str:
    if _REQUEST_ID.fullmatch(request_id) is None:
        raise JobRefused(404, "training_unknown", "there is no training with this request_id")
    return request_id
