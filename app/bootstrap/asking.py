"""What asks fal about jobs: for the server, and for a command beside it."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from app.core.clock import SystemClock
from app.core.config import Settings
from app.db import schema
from app.db.engine import Database, open_database
from app.db.jobs import Looked
from app.db.trainings import BotTables
from app.domain.invented import Invented
from app.domain.measures import Measures
from app.fal.api import FalQueueApi
from app.fal.client import Client, make_client
from app.fal.endpoints import TrainerEndpoints
from app.fal.scrub import Scrub
from app.flows.intake import Intake
from app.flows.measuring import count_asked
from app.flows.ports import Clock, FalQueue
from app.flows.reconcile import Reconcile
from app.flows.steps import UNWATCHED, Watched


@dataclass(frozen=True, slots=True)
class Asking:
    """Who takes in jobs and who asks about them, on one database."""

    database: Database
    intake: Intake
    reconcile: Reconcile


def fal_key(settings: Settings) -> str | None:
    """Read FAL_API_KEY."""
    return None if settings.fal_api_key is None else settings.fal_api_key.get_secret_value()


def make_fal_queue(settings: Settings, client: Client, clock: Clock, measures: Measures | None = None) -> FalQueueApi:
    """Build the client of fal's queue, which counts what it is told."""
    count = partial(count_asked, measures or Measures())
    return FalQueueApi(settings.fal_queue_url, settings.fal_api_url, fal_key(settings), client, clock.now, count)


def make_scrub(settings: Settings) -> Scrub:
    """Build what takes every secret of the settings out of what fal says."""
    return Scrub(fal_key(settings), settings.secret_values())


def trainer_endpoints(settings: Settings) -> TrainerEndpoints:
    """Tell where trainings of each type are submitted."""
    return TrainerEndpoints(settings.trainer_portrait, settings.trainer_style)


def make_asking(
    settings: Settings,
    database: Database,
    bot_tables: BotTables,
    fal_queue: FalQueue,
    clock: Clock,
    *,
    wake_reconcile: Callable[[], None],
    wake_apply: Callable[[], None],
    steps: Watched = UNWATCHED,
    on_looked: Callable[[Sequence[Looked]], None] = lambda _: None,
    sweep: Callable[[], Awaitable[int]] | None = None,
) -> Asking:
    """Assemble what asks fal; the wakes are called when there is work for another."""
    every = timedelta(seconds=settings.reconcile_every)
    endpoints = trainer_endpoints(settings)
    intake = Intake(
        database,
        bot_tables,
        clock,
        endpoint_of=lambda trainer: endpoints.candidates(trainer)[0],
        after=timedelta(seconds=settings.reconcile_after),
        every=every,
        wake=wake_reconcile,
        invented=Invented.of(settings.invented_artifacts),
    )
    reconcile = Reconcile(
        database,
        bot_tables,
        fal_queue,
        clock,
        every=every,
        lease=timedelta(seconds=settings.lease_seconds),
        orphans=timedelta(hours=settings.orphan_hours),
        known_endpoints=endpoints.candidates(None),
        chance=random.random,
        wake_apply=wake_apply,
        steps=steps,
        scrub=make_scrub(settings),
        on_looked=on_looked,
        sweep=sweep,
    )
    return Asking(database, intake, reconcile)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[tuple[Database, BotTables, Client, Clock]]:
    """Open what a command beside the server works with. Raises DatabaseUnfit, DatabaseUnavailable."""
    async with AsyncExitStack() as stack:
        database = open_database(settings.database_url.get_secret_value())
        stack.push_async_callback(database.close)
        bot_tables = await schema.find_bot_tables(database)
        client = make_client()
        stack.push_async_callback(client.aclose)
        yield database, bot_tables, client, SystemClock()


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Asking]:
    """Open what asks fal, beside a server that applies what is found. Raises as `opened`."""
    async with opened(settings) as (database, bot_tables, client, clock):
        fal_queue = make_fal_queue(settings, client, clock)
        yield make_asking(settings, database, bot_tables, fal_queue, clock, wake_reconcile=_nobody, wake_apply=_nobody)


def _nobody() -> None:
    """Do nothing: the server is another process, and finds new rows at its next poll."""
