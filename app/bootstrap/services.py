"""All that one process works with, grouped by who uses it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.bootstrap.submitting import Submitting
from app.db.engine import Database
from app.db.figures import Figures
from app.db.trainings import BotTables
from app.domain.measures import Measures
from app.fal.addresses import Addresses
from app.fal.keys import Keys
from app.flows.accept import Accept
from app.flows.apply import Apply
from app.flows.daily_digest import DailyDigest
from app.flows.direct import DirectAlerts
from app.flows.drift import Mend
from app.flows.intake import Intake
from app.flows.kinds import Kind
from app.flows.look_again import LookAgain
from app.flows.notify.claiming import Notify
from app.flows.ping import Ping
from app.flows.poll import Poll
from app.flows.ports import Clock
from app.flows.progress import Progress
from app.flows.promises import Promises
from app.flows.prune import Prune
from app.flows.reconcile import Reconcile
from app.flows.recount import Recount
from app.flows.register import Register
from app.flows.steps import Steps
from app.flows.totals import Totals
from app.flows.watch import Watch
from app.flows.write_check import WriteCheck


@dataclass(frozen=True, slots=True)
class Ingest:
    """What the webhook needs to store a delivery."""

    clock: Clock
    kinds: tuple[Kind, ...]
    accept: Accept
    register: Register
    submitting: Callable[[], Submitting]  # made when it is first asked for


@dataclass(frozen=True, slots=True)
class Work:
    """What the worker does with what is stored, and what it keeps fresh."""

    poll: Poll
    apply: Apply
    notify: Notify
    prune: Prune
    recount: Recount
    watch: Watch
    look_again: LookAgain
    promises: Promises
    mend: Mend
    intake: Intake
    reconcile: Reconcile
    progress: Progress
    digest: DailyDigest
    ping: Ping
    keys: Keys
    addresses: Addresses
    is_crowded: Callable[[], bool]
    apply_wake: asyncio.Event
    notify_wake: asyncio.Event
    reconcile_wake: asyncio.Event
    steps: Steps
    direct: DirectAlerts


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What the pages about our own state look at."""

    clock: Clock
    write_check: WriteCheck
    totals: Totals
    keys: Keys
    addresses: Addresses
    steps: Steps
    is_storing: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class MetricsFacts:
    """What /metrics shows: the counts of this process, and how to look at the database."""

    measures: Measures
    figures: Callable[[], Awaitable[Figures]]


@dataclass(frozen=True, slots=True)
class Services:
    """All services, grouped by who uses them: webhook, worker, health pages, metrics; the rest is the pages'."""

    ingest: Ingest
    work: Work
    health: HealthFacts
    metrics: MetricsFacts
    database: Database
    bot_tables: BotTables
