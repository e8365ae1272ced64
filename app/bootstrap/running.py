"""Settings → Services: the only place that constructs adapters."""

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import structlog

from app.bootstrap.asking import fal_key, make_asking, make_fal_queue, make_scrub, trainer_endpoints
from app.bootstrap.background import in_background
from app.bootstrap.machine import machine_facts
from app.bootstrap.messenger import open_messenger
from app.bootstrap.pinging import ping_of
from app.bootstrap.services import HealthFacts, Ingest, MetricsFacts, Services, Work
from app.bootstrap.submitting import make_sweep, submitting_later
from app.bootstrap.trial import trial_kinds
from app.catalog import translate
from app.core.clock import SystemClock
from app.core.config import Settings
from app.core.exit_codes import Exit
from app.db import figures, schema
from app.db.engine import open_database
from app.db.generations import Generations
from app.db.group_commit import GroupCommit
from app.db.poller_traces import count_invented_at_work
from app.db.reasons import reason_of
from app.db.wake import WakeTopic, listen
from app.domain.artifact import ArtifactCheck
from app.domain.invented import Invented
from app.domain.measures import Measures
from app.domain.progress import ProgressMode
from app.domain.steps import list_steps
from app.fal.addresses import Addresses
from app.fal.authenticate import Authenticator, IpFilter
from app.fal.cdn import FalCdn, WayOut
from app.fal.client import make_client
from app.fal.endpoints import same_origin
from app.fal.keys import Keys
from app.fal.uploads import FalStorage
from app.files.command import command_from_anywhere
from app.flows.accept import Accept
from app.flows.apply import Apply
from app.flows.artifacts import ArtifactLooks
from app.flows.daily_digest import DailyDigest
from app.flows.direct import DirectAlerts
from app.flows.drift import Mend
from app.flows.kinds import generation, training
from app.flows.look_again import LookAgain
from app.flows.notify.claiming import Notify
from app.flows.notify.recording import write_records
from app.flows.ping import Ping
from app.flows.planning import RetryLimits
from app.flows.poll import Poll
from app.flows.progress import Progress
from app.flows.promises import Promises
from app.flows.prune import Prune
from app.flows.recount import Recount
from app.flows.register import Register
from app.flows.steps import Steps
from app.flows.tell import Tell
from app.flows.totals import Totals
from app.flows.watch import OperatorChat, Watch
from app.flows.write_check import WriteCheck
from app.telegram.catalogs import Catalogs
from app.telegram.progress_wording import word_progress
from app.telegram.wording import word

if TYPE_CHECKING:  # without TLS nothing of X.509 is loaded
    from app.tls.live import LiveContext

log = structlog.get_logger(__name__)

MACHINE_LIMIT = 64  # characters of this machine's name in an alert's
DIRECT_MEMORY = "direct-alert.json"
SENDS_END = 6.0  # s after the stop begins in which sends under way may finish


@asynccontextmanager
async def running(
    settings: Settings, tls: "LiveContext | None" = None, cdn: WayOut | None = None
) -> AsyncIterator[Services]:
    """Open everything, and finish on the way out. `tls` is only watched; `cdn` leads to a twin of fal's CDN."""
    async with AsyncExitStack() as stack:
        clock, measures = SystemClock(), Measures()
        steps = Steps(clock, reason_of)
        database = open_database(settings.database_url.get_secret_value(), on_damage=_leave)
        stack.push_async_callback(database.close)
        bot_tables = await schema.find_bot_tables(database)
        generations = await database.read(Generations.find, settings.operator_chat_id)
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
        messenger = await open_messenger(settings, stack, cdn)

        apply_wake, notify_wake, reconcile_wake = asyncio.Event(), asyncio.Event(), asyncio.Event()
        accept = Accept(database, clock, apply_wake.set, make_scrub(settings), measures)
        records = GroupCommit(database, partial(write_records, bot_tables))
        for writer in (accept, records):
            await stack.enter_async_context(in_background(writer.run(), writer.close))

        authenticator = Authenticator(keys, addresses, IpFilter(settings.ip_filter), settings.fal_user_id, clock.now)
        invented = Invented.of(settings.invented_artifacts)
        kinds = (
            training(
                authenticator,
                bot_tables,
                trainer_endpoints(settings),
                invented=invented,
                tells_found=settings.tell_when_found_completed,
            ),
            generation(authenticator, generations, tells_found=settings.tell_when_found_completed),
            *trial_kinds(settings, clock),
        )
        lease = timedelta(seconds=settings.lease_seconds)
        wording = partial(word, catalogs=catalogs, support_url=settings.support_url, cli=command_from_anywhere())
        tell = Tell(messenger, wording, clock, measures)
        notify = Notify(
            database,
            records,
            tell,
            clock,
            lease=lease,
            limit=settings.retry_max_attempts,
            rate=settings.telegram_rate,
            chance=random.random,
            steps=steps,
            measures=measures,
        )
        stack.push_async_callback(notify.close, SENDS_END)
        fal_queue = make_fal_queue(settings, client, clock, measures)
        looks = _looks(settings, cdn)
        if looks is not None:
            stack.push_async_callback(looks.close)
        apply = Apply(
            database,
            kinds,
            fal_queue,
            clock,
            RetryLimits(settings.retry_max_attempts, timedelta(hours=settings.orphan_hours), lease),
            chance=random.random,
            wake_notify=notify_wake.set,
            is_busy=accept.is_busy,
            looks=looks,
            steps=steps,
            measures=measures,
        )
        progress = Progress(
            database,
            bot_tables,
            fal_queue,
            messenger=messenger,
            word=partial(word_progress, catalogs=catalogs),
            clock=clock,
            mode=ProgressMode.OFF if settings.telegram_token is None else ProgressMode(settings.progress),
            rate=settings.telegram_rate,
            trainer_of=trainer_endpoints(settings).trainer_of,
            measures=measures,
        )
        stack.push_async_callback(progress.close)
        found = make_asking(
            settings,
            database,
            bot_tables,
            fal_queue,
            clock,
            wake_reconcile=reconcile_wake.set,
            wake_apply=apply_wake.set,
            steps=steps,
            on_looked=progress.consider,
            sweep=make_sweep(settings, database, bot_tables, client, clock),
        )
        register = Register(
            database,
            clock,
            is_ours=partial(same_origin, base_url=settings.fal_queue_url),
            after=timedelta(seconds=settings.reconcile_after),
            knows_chat=generations.knows,
        )
        if not database.is_sqlite:
            topics = {WakeTopic.INBOX: apply_wake.set, WakeTopic.OUTBOX: notify_wake.set}
            ears = listen(settings.database_url.get_secret_value(), topics)
            await stack.enter_async_context(in_background(ears, stop=None))
        machine = socket.gethostname()[:MACHINE_LIMIT]
        in_words = partial(translate, language=settings.operator_language)
        watch = Watch(
            database,
            clock,
            partial(
                machine_facts,
                clock,
                clock.now(),
                tls,
                authenticator,
                keys=keys,
                addresses=addresses,
                list_failing=lambda: list_steps(steps.tellable(), in_words),
            ),
            count_invented=partial(count_invented_at_work, bot_tables=bot_tables, invented=invented),
            machine=machine,
            chat=_operator_chat(settings),
            wake_notify=notify_wake.set,
        )
        direct = DirectAlerts(
            steps, tell, clock, machine=machine, chat=_operator_chat(settings), memory=settings.data_dir / DIRECT_MEMORY
        )
        write_check = WriteCheck(database, clock)
        yield Services(
            Ingest(clock, kinds, accept, register, submitting_later(settings, database, bot_tables, client, clock)),
            Work(
                Poll(
                    database,
                    clock,
                    wake_apply=apply_wake.set,
                    wake_notify=notify_wake.set,
                    wake_reconcile=reconcile_wake.set,
                ),
                apply,
                notify,
                Prune(database, clock, timedelta(days=settings.retention_days)),
                Recount(database, clock),
                watch,
                LookAgain(database, clock, looks),
                Promises(
                    database,
                    bot_tables,
                    clock,
                    is_open=FalStorage(settings.fal_storage_url, fal_key(settings), client).is_open,
                    wake_notify=notify_wake.set,
                ),
                Mend(
                    database,
                    bot_tables,
                    clock,
                    invented,
                    every=timedelta(seconds=settings.reconcile_every),
                    wake_apply=apply_wake.set,
                ),
                found.intake,
                found.reconcile,
                progress,
                DailyDigest(
                    database,
                    clock,
                    chat=_operator_chat(settings),
                    hour=settings.digest_hour,
                    local=datetime.astimezone,
                    wake_notify=notify_wake.set,
                ),
                Ping(database, write_check, steps, ping_of(settings, client)),
                keys,
                addresses,
                accept.is_crowded,
                apply_wake,
                notify_wake,
                reconcile_wake,
                steps,
                direct,
            ),
            HealthFacts(clock, write_check, Totals(database, clock), keys, addresses, steps, accept.is_running),
            MetricsFacts(measures, lambda: database.read(figures.read, clock.now())),
            database,
            bot_tables,
        )


def _looks(settings: Settings, way: WayOut | None) -> ArtifactLooks | None:
    check = ArtifactCheck(settings.artifact_check)
    return None if check is ArtifactCheck.OFF else ArtifactLooks(FalCdn(settings.artifact_hosts, way), check)


def _operator_chat(settings: Settings) -> OperatorChat | None:
    chat = settings.operator_chat_id
    return None if chat is None else OperatorChat(chat, settings.operator_language)


def _leave() -> None:
    """Exit at once: after a failed write only a fresh start reads what is on the disk. fal and systemd retry."""
    log.critical("database.damaged", exit_code=int(Exit.TRY_AGAIN))
    os._exit(Exit.TRY_AGAIN)
