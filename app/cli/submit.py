"""What `aisha-webhook trainings submit`, `show` and `cancel` do; the commands stand in `trainings`."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import typer

from app.bootstrap.submitting import Submitting, submitting
from app.cli.ground import require_database
from app.cli.output import fail, print_fields, print_json
from app.cli.photos import ADVISED, PhotosRefused, pack
from app.core.clock import SystemClock
from app.core.exit_codes import Exit
from app.core.setting_loader import load_settings
from app.db import submissions
from app.domain.errors import JobRefused
from app.domain.trainer import Trainer
from app.fal.uploads import FalStorage, UploadFailed
from app.flows.submit import WantedTraining


def submit(
    avatar_id: str, photos: str, *, trainer: Trainer, trigger: str | None, steps: int | None, key: str | None,
    again: bool, as_json: bool,
) -> None:  # fmt: skip
    """Check and upload the photos, submit, and print fal's request id."""

    async def work(parts: Submitting, storage: FalStorage) -> dict[str, Any]:
        url, digest = await _photos_url(photos, storage)
        if again:
            await parts.database.write(submissions.give_up, avatar_id, SystemClock().now())
        # Without a key of the caller's: the same photos for the same avatar are one training.
        made = hashlib.sha256(f"{avatar_id} {trainer} {trigger} {steps} {digest}".encode()).hexdigest()[:32]
        own = key or f"cli-{made}" + (f"-{SystemClock().now():%Y%m%d%H%M%S}" if again else "")
        request_id = await parts.submit(
            WantedTraining(avatar_id, url, trainer, own, trigger, steps, photos_digest=digest)
        )
        return {"request_id": request_id, "status": "submitted", "idempotency_key": own}

    _show(_run(work, as_json=as_json), as_json=as_json)


def show(request_id: str, *, as_json: bool) -> None:
    """Print how a training stands."""

    async def work(parts: Submitting, _: FalStorage) -> dict[str, Any]:
        return (await parts.cancel.look(request_id)).told()

    _show(_run(work, as_json=as_json), as_json=as_json)


def cancel(request_id: str, *, as_json: bool) -> None:
    """Ask fal to cancel a training."""

    async def work(parts: Submitting, _: FalStorage) -> dict[str, Any]:
        asked = await parts.cancel(request_id)
        return {"request_id": request_id, "status": "cancel_requested" if asked else "already_ended"}

    _show(_run(work, as_json=as_json), as_json=as_json)


async def _photos_url(photos: str, storage: FalStorage) -> tuple[str, str]:
    """Return the photos' address, and a digest of what they are."""
    if photos.startswith(("https://", "http://")):
        return photos, hashlib.sha256(photos.encode()).hexdigest()
    packed = pack(Path(photos))
    if packed.photos < ADVISED:
        typer.echo(f"{packed.photos} photos: {ADVISED} or more give a better avatar", err=True)
    url = await storage.put("photos.zip", "application/zip", packed.archive)
    return url, hashlib.sha256(packed.archive).hexdigest()


def _run(work: Callable[[Submitting, FalStorage], Awaitable[dict[str, Any]]], *, as_json: bool) -> dict[str, Any]:
    settings = load_settings()
    require_database(settings)

    async def run() -> dict[str, Any]:
        async with submitting(settings) as (parts, storage):
            return await work(parts, storage)

    try:
        return asyncio.run(run())
    except JobRefused as refused:
        fail(f"{refused.code}: {refused.detail}", Exit.CHECK_FAILED, as_json=as_json)
    except UploadFailed as failed:
        fail(f"{failed.code}: {failed}", Exit.CHECK_FAILED, as_json=as_json)
    except PhotosRefused as refused:
        fail(f"photos: {refused}", Exit.CHECK_FAILED, as_json=as_json)
    except OSError as error:
        fail(f"photos: {error.filename}: {error.strerror}", Exit.CHECK_FAILED, as_json=as_json)


def _show(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(row)
    else:
        print_fields(row)
