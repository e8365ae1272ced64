"""Settings → Services: the only place that constructs adapters."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import SecretStr

from app.core.clock import SystemClock
from app.core.config import Settings
from app.core.exit_codes import Exit
from app.db import schema
from app.db.engine import open_database
from app.db.group_commit import GroupCommit
from app.db.wake import WakeTopic, listen
from app.domain.alert_rules import Certificate, MachineFacts
from app.domain.errors import DatabaseBehind
from app.domain.invented import Invented
from app.fal.addresses import Addresses
from app.fal.api import ENDPOINTS, FalQueueApi
from app.fal.authenticate import Authenticator, IpFilter
from app.fal.client import make_client
from app.fal.keys import Keys
from app.flows.accept import Accept
from app.flows.apply import Apply
from app.flows.drift import Mend
from app.flows.kinds import Kind, training
from app.flows.notify.claiming import Notify
from app.flows.notify.recording import write_records
from app.flows.planning import RetryLimits
from app.flows.poll import Poll
from app.flows.ports import Clock, Messenger
from app.flows.prune import Prune
from app.flows.tell import Tell
from app.flows.totals import Totals
from app.flows.watch import OperatorChat, Watch
from app.flows.write_check import WriteCheck
from app.telegram.catalogs import Catalogs
from app.telegram.client import TelegramClient
from app.telegram.sender import TelegramMessenger, TokenlessMessenger
from app.telegram.wording import word

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.live import LiveContext

log = structlog.get_logger(__name__)

BEHIND = {
    "ru": "база отстаёт от этой версии сервера. Выполните: aisha-webhook migrate",
    "en": "the database is behind this version of the server. Run: aisha-webhook migrate",
}
MACHINE_LIMIT = 64  # characters of this machine's name in an alert's
SENDS_END = 6.0  # s after the stop begins in which sends under way may finish
DRAIN = 1.0  # s that each background task may take at the stop; unfinished rows are due again after their lease


@dataclass(frozen=True, slots=True)
class Ingest:
    """What the webhook needs to store a delivery."""

    clock: Clock
    kinds: tuple[Kind, ...]
    accept: Accept


@dataclass(frozen=True, slots=True)
class Work:
    """What the worker does with what is stored, and what it keeps fresh."""

    poll: Poll
    apply: Apply
    notify: Notify
    prune: Prune
    watch: Watch
    mend: Mend
    keys: Keys
    addresses: Addresses
    is_crowded: Callable[[], bool]
    apply_wake: asyncio.Event
    notify_wake: asyncio.Event


@dataclass(frozen=True, slots=True)
class HealthFacts:
    """What the pages about our own state look at."""

    clock: Clock
    write_check: WriteCheck
    totals: Totals
    keys: Keys
    addresses: Addresses


@dataclass(frozen=True, slots=True)
class Services:
    """All services, grouped by who uses them: the webhook, the worker, the health pages."""

    ingest: Ingest
    work: Work
    health: HealthFacts


async def check_database(settings: Settings) -> None:
    """Refuse a database that this version cannot work on: damaged, behind its migrations, or without the bot's columns.

    Raises DatabaseUnfit (DatabaseBehind), or DatabaseUnavailable when it does not answer.
    """
    language = settings.operator_language
    database = open_database(settings.database_url.get_secret_value())
    try:
        await schema.check_soundness(database, language)
        if await schema.is_behind(database):
            raise DatabaseBehind([BEHIND[language]])
        await schema.find_bot_tables(database, language)
    finally:
        await database.close()


async def needs_migration(settings: Settings) -> bool:
    """Tell whether our tables are missing or old. Raises DatabaseUnavailable."""
    database = open_database(settings.database_url.get_secret_value())
    try:
        return await schema.is_behind(database)
    finally:
        await database.close()


@asynccontextmanager
async def running(settings: Settings, tls: "LiveContext | None" = None) -> AsyncIterator[Services]:
    """Open everything, and on the way out finish what is under way. `tls` is only watched; None on plain HTTP."""
    async with AsyncExitStack() as stack:
        clock = SystemClock()
        database = open_database(settings.database_url.get_secret_value(), on_damage=_leave)
        stack.push_async_callback(database.close)
        bot_tables = await schema.find_bot_tables(database)
        client = make_client()
        stack.push_async_callback(client.aclose)
        keys = Keys(settings.fal_jwks_urls, settings.data_dir / "fal-keys.json", client, clock.now)
        addresses = Addresses(
            f"{settings.fal_api_url}/v1/meta",
            settings.data_dir / "fal-addresses.json",
            client,
            clock.now,
            settings.allowed_ips,
            skew=keys.skew,
        )
        await keys.load()
        await addresses.load()
        catalogs = Catalogs(settings.default_language)
        messenger = await _messenger(settings, stack)

        apply_wake, notify_wake = asyncio.Event(), asyncio.Event()
        accept = Accept(database, clock, apply_wake.set)
        records = GroupCommit(database, partial(write_records, bot_tables))
        for writer in (accept, records):
            await stack.enter_async_context(in_background(writer.run(), writer.close))

        authenticator = Authenticator(keys, addresses, IpFilter(settings.ip_filter), settings.fal_user_id, clock.now)
        invented = Invented.of(settings.invented_artifacts)
        kinds = (
            training(
                authenticator,
                bot_tables,
                endpoint_of=ENDPOINTS.__getitem__,
                invented=invented,
                tells_found=settings.tell_when_found_completed,
            ),
        )
        lease = timedelta(seconds=settings.lease_seconds)
        notify = Notify(
            database,
            records,
            Tell(messenger, partial(word, catalogs=catalogs)),
            clock,
            lease=lease,
            limit=settings.retry_max_attempts,
            rate=settings.telegram_rate,
            chance=random.random,
        )
        stack.push_async_callback(notify.close, SENDS_END)
        apply = Apply(
            database,
            kinds,
            FalQueueApi(settings.fal_queue_url, _secret(settings.fal_api_key), client),
            clock,
            RetryLimits(settings.retry_max_attempts, timedelta(hours=settings.orphan_hours), lease),
            chance=random.random,
            wake_notify=notify_wake.set,
            is_crowded=accept.is_crowded,
        )
        if not database.is_sqlite:
            topics = {WakeTopic.INBOX: apply_wake.set, WakeTopic.OUTBOX: notify_wake.set}
            ears = listen(settings.database_url.get_secret_value(), topics)
            await stack.enter_async_context(in_background(ears, stop=None))
        watch = Watch(
            database,
            clock,
            partial(_machine_facts, clock, clock.now(), tls, authenticator),
            machine=socket.gethostname()[:MACHINE_LIMIT],
            chat=_operator_chat(settings),
            wake_notify=notify_wake.set,
        )
        yield Services(
            Ingest(clock, kinds, accept),
            Work(
                Poll(database, clock, wake_apply=apply_wake.set, wake_notify=notify_wake.set),
                apply,
                notify,
                Prune(database, clock, timedelta(days=settings.retention_days)),
                watch,
                Mend(database, bot_tables, clock, invented, wake_apply=apply_wake.set),
                keys,
                addresses,
                accept.is_crowded,
                apply_wake,
                notify_wake,
            ),
            HealthFacts(clock, WriteCheck(database, clock), Totals(database), keys, addresses),
        )


def _machine_facts(
    clock: Clock, began: datetime, tls: "LiveContext | None", authenticator: Authenticator
) -> MachineFacts:
    """Gather what this machine knows of itself."""
    certificate = None
    if tls is not None:
        served = tls.served
        certificate = Certificate(served.leaf.not_valid_before_utc, served.ends, tls.trouble)
    running_for = clock.now() - began
    addresses_age = None
    if authenticator.ip_filter is IpFilter.ENFORCE and not authenticator.addresses.is_fixed:
        fetched = authenticator.addresses.age()
        addresses_age = running_for if fetched is None else fetched
    return MachineFacts(
        running_for=running_for,
        certificate=certificate,
        keys_age=authenticator.keys.age(),
        keys_usable=bool(authenticator.keys.current()),
        clock_offset=authenticator.keys.clock_offset(),
        foreign=authenticator.foreign_accounts(),
        addresses_age=addresses_age,
    )


def _operator_chat(settings: Settings) -> OperatorChat | None:
    if settings.operator_chat_id is None:
        return None
    return OperatorChat(settings.operator_chat_id, settings.operator_language)


def _leave() -> None:
    """Exit at once: after a failed write only a fresh start reads what is on the disk. fal and systemd retry."""
    log.critical("database.damaged", exit_code=int(Exit.TRY_AGAIN))
    os._exit(Exit.TRY_AGAIN)


def _secret(value: SecretStr | None) -> str | None:
    return None if value is None else value.get_secret_value()


async def _messenger(settings: Settings, stack: AsyncExitStack) -> Messenger:
    if settings.telegram_token is None:
        return TokenlessMessenger()
    token = settings.telegram_token.get_secret_value()
    return TelegramMessenger(await stack.enter_async_context(TelegramClient(token, settings.telegram_api_url)))


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None], stop: Callable[[], None] | None) -> AsyncIterator[None]:
    """Run `work` beside the block; afterwards ask it to stop and give it DRAIN seconds, then cut it off.

    Without `stop` it is cut off at once.
    """
    task = asyncio.create_task(work)
    task.add_done_callback(_log_death)
    try:
        yield
    finally:
        if stop is not None:
            stop()
            await asyncio.wait([task], timeout=DRAIN)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _log_death(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.critical("task.died", exc_info=error)
