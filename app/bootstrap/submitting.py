"""What submits trainings: for the server, and for a command beside it."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial

from app.bootstrap.asking import fal_key, opened, trainer_endpoints
from app.core.config import Settings
from app.db.engine import Database
from app.db.trainings import BotTables
from app.domain.nonce import LENGTH
from app.domain.trainer import Trainer
from app.fal.client import Client, make_client
from app.fal.submit import FalSubmitApi
from app.fal.uploads import FalStorage
from app.flows.cancel import Cancel
from app.flows.kinds import TRAINING_PATH
from app.flows.ports import Clock
from app.flows.submit import Submit
from app.flows.sweep import Sweep

UPLOAD_SECONDS = 120.0  # s of silence while photos are stored


@dataclass(frozen=True, slots=True)
class Submitting:
    """Who submits and who cancels, on one database."""

    database: Database
    submit: Submit
    cancel: Cancel


def make_fal_desk(settings: Settings, client: Client) -> FalSubmitApi:
    """Build the client of fal's submissions."""
    return FalSubmitApi(settings.fal_queue_url, settings.fal_api_url, fal_key(settings), client)


def make_sweep(settings: Settings, database: Database, tables: BotTables, client: Client, clock: Clock) -> Sweep:
    """Assemble what looks for submissions without an answer."""
    return Sweep(
        database,
        tables,
        make_fal_desk(settings, client),
        clock,
        lease=timedelta(seconds=settings.lease_seconds),
        after=timedelta(seconds=settings.reconcile_after),
    )


def make_submitting(
    settings: Settings, database: Database, tables: BotTables, client: Client, clock: Clock
) -> Submitting:
    """Assemble what submits and what cancels."""
    desk = make_fal_desk(settings, client)
    endpoints = trainer_endpoints(settings)
    submit = Submit(
        database,
        tables,
        desk,
        clock,
        endpoint_of=lambda trainer: endpoints.style if trainer is Trainer.STYLE else endpoints.portrait,
        webhook=webhook_base(settings),
        nonce=lambda: secrets.token_hex(LENGTH // 2),
        most=settings.training_max_usd,
        after=timedelta(seconds=settings.reconcile_after),
    )
    return Submitting(database, submit, Cancel(database, desk, clock))


def submitting_later(
    settings: Settings, database: Database, tables: BotTables, client: Client, clock: Clock
) -> Callable[[], Submitting]:
    """Put off the assembly until somebody submits."""
    return cache(partial(make_submitting, settings, database, tables, client, clock))


def webhook_base(settings: Settings) -> str:
    """Tell where fal is to send the results of trainings that are submitted here."""
    return settings.fal_webhook_url or f"https://{settings.api_domain}:{settings.api_port}{TRAINING_PATH}"


@asynccontextmanager
async def submitting(settings: Settings) -> AsyncIterator[tuple[Submitting, FalStorage]]:
    """Open what submits, and fal's storage for photos. Raises as `opened`."""
    async with opened(settings) as (database, tables, client, clock):
        slow = make_client(read_seconds=UPLOAD_SECONDS)
        storage = FalStorage(settings.fal_storage_url, fal_key(settings), slow)
        try:
            yield make_submitting(settings, database, tables, client, clock), storage
        finally:
            await slow.aclose()
