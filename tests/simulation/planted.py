"""Bugs on purpose, each of which a run must find: `--planted NAME`. They show what the promises are worth."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any

from app.db import chores, inbox, jobs, outbox, queue, retention
from app.db.bulk_update import UpdateMany
from app.domain import decision, look, send_policy, verdict
from app.domain.alert import follow as follow_alert
from app.domain.invented import Invented
from app.domain.notification import Topic
from app.domain.send_outcome import Down, Sent, SlowDown, Uncertain
from app.domain.training import Artifacts, Change, Plan, TrainingStatus
from app.domain.verdict import Done
from app.fal.authenticate import Authenticator
from app.fal.keys import Keys
from app.fal.uploads import FalStorage
from app.flows import planning, watch
from app.flows.accept import Accept
from app.flows.drift import Mend
from app.flows.notify.claiming import Notify
from app.flows.reconcile import Reconcile
from tests.simulation.replaced import replace

running: Any = import_module("app.bootstrap.running")
Bug = Callable[[], None]


def forget_the_fence() -> None:
    """A late worker overwrites what another one has claimed since."""

    def finish(connection: Any, table: Any, rows: Any, **_options: Any) -> None:
        for claim, values in rows:
            write = UpdateMany(table, match=("id",), given=tuple(values), fixed={}, only=[])
            write(connection, [({"id": claim.id}, values)])

    replace(queue, "finish", finish)


def answer_before_the_commit() -> None:
    """fal hears 200 while the row is still on its way to the disk."""
    real = Accept.__call__

    async def accept(self: Accept, delivery: Any) -> Any:
        stored = asyncio.ensure_future(real(self, delivery))
        stored.add_done_callback(lambda done: done.exception())
        await asyncio.sleep(0)
        return inbox.Receipt(0, new=True)

    replace(Accept, "__call__", accept)


def mark_sent_before_sending() -> None:
    """What could not be sent counts as sent."""
    real = Notify._send

    async def send(self: Notify, item: Any) -> Any:
        outcome = await real(self, item)
        return Sent(1, 1) if isinstance(outcome, Down) else outcome

    replace(Notify, "_send", send)


def leave_drift() -> None:
    """A finished row that the bot has set back stays so."""

    async def rest(_self: Mend) -> int:
        return 0

    replace(Mend, "__call__", rest)


def lease_shorter_than_its_flow() -> None:
    """Another replica takes over a message that is still being sent."""
    real = outbox.claim

    def claim(connection: Any, *, now: Any, lease_until: Any, limit: int, rate: float) -> Any:
        return real(connection, now=now, lease_until=now + timedelta(seconds=1), limit=limit, rate=rate)

    replace(outbox, "claim", claim)


def believe_the_bot() -> None:
    """An address that the bot invented counts as an artifact."""
    replace(Invented, "real", lambda _self, artifacts: artifacts)


def doubt_is_not_counted() -> None:
    """A send of unknown outcome is tried again as if nothing had been sent."""
    real = send_policy.judge

    def judge(outcome: Any, **facts: Any) -> Any:
        return real(Down("no answer") if isinstance(outcome, Uncertain) else outcome, **facts)

    replace(import_module("app.flows.notify.claiming"), "judge", judge)


def never_ask_fal() -> None:
    """A lost webhook stays lost."""

    async def rest(_self: Reconcile) -> int:
        return 0

    replace(Reconcile, "__call__", rest)


def drop_orphans() -> None:
    """A delivery that comes before the bot's commit is done with."""
    replace(planning, "await_training", lambda *_: Done("unknown"))


def keep_the_old_keys() -> None:
    """fal's new key is never fetched because of a delivery."""

    async def stay(_self: Keys, *_options: Any) -> bool:
        return False

    replace(Keys, "refresh_after_failure", stay)


def take_success_back() -> None:
    """A failure that comes after a success wins."""

    def decide(facts: Any, outcome: Any, now: Any) -> Plan:
        if facts.training.status is TrainingStatus.COMPLETED:
            change = Change(TrainingStatus.ERROR, now, artifacts=Artifacts(), error=outcome.detail)
            return Plan(Done("failed"), change, facts.message(Topic.FAILED, outcome.cause))
        return real(facts, outcome, now)

    real = decision._decide_failed
    replace(decision, "_decide_failed", decide)


def owe_nothing() -> None:
    """The change is committed, the message is forgotten."""
    replace(outbox, "put", lambda *_: None)


def take_any_account() -> None:
    """Whatever fal signed is ours."""
    replace(Authenticator, "takes_account", lambda _self, _user: True)


def rest_for_ever() -> None:
    """Pauses grow without a bound."""
    replace(verdict, "BACKOFF_CAP", timedelta(days=9))
    replace(verdict, "DOWN_CAP", timedelta(days=9))
    replace(send_policy, "DOWN_PAUSE", timedelta(days=9))


def forget_the_undecided() -> None:
    """Retention empties what still waits for an operator."""
    replace(retention, "_FORGETTABLE", ("done", "ignored", "dead"))
    replace(running, "timedelta", lambda **given: timedelta(**{**given, **({"days": 0.01} if "days" in given else {})}))


def never_pull_back() -> None:
    """Rows that a wrong clock put off rest for as long as it was wrong."""
    replace(chores, "pull_back", lambda *_: 0)


def give_orphans_up_early() -> None:
    """A delivery waits for the bot's commit for a minute instead of a day."""

    def await_briefly(received_at: Any, now: Any, _patience: Any) -> Any:
        return real(received_at, now, timedelta(minutes=1))

    real = verdict.await_training
    replace(planning, "await_training", await_briefly)


def ignore_retry_after() -> None:
    """Telegram asks for forty seconds, and is asked again after one."""
    real = send_policy.judge

    def judge(outcome: Any, **facts: Any) -> Any:
        return real(SlowDown(1) if isinstance(outcome, SlowDown) else outcome, **facts)

    replace(import_module("app.flows.notify.claiming"), "judge", judge)


def never_close_an_alert() -> None:
    """What was wrong once stays on the list."""
    real = follow_alert

    def follow(alert: Any, alarm: Any, *args: Any, **options: Any) -> Any:
        return None if alarm is None else real(alert, alarm, *args, **options)

    replace(watch, "follow", follow)


def raise_no_alert() -> None:
    """Nobody hears of what waits for an operator."""
    replace(watch, "queue_alarms", lambda *_: iter(()))


def believe_every_file() -> None:
    """A result is applied though its file is not there."""
    replace(planning, "weigh", lambda plan, *_args, **_options: plan)


def leave_the_job_open() -> None:
    """A delivery ends a training, and its job does not hear of it."""
    replace(jobs, "end", lambda *_: None)


def take_nothing_in() -> None:
    """The bot's trainings get no job unless it registers them."""
    replace(jobs, "expect", lambda *_args, **_options: None)


def trust_the_account() -> None:
    """Whether fal works for the account is not asked: its owners hear at once that they can begin again."""

    async def is_open(_: FalStorage) -> bool:
        return True

    replace(FalStorage, "is_open", is_open)


def believe_one_miss() -> None:
    """A result that fal's queue and list do not know for a moment is gone."""
    replace(look, "SURE", timedelta(0))


BUGS: dict[str, Bug] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        forget_the_fence,
        answer_before_the_commit,
        mark_sent_before_sending,
        leave_drift,
        lease_shorter_than_its_flow,
        believe_the_bot,
        doubt_is_not_counted,
        never_ask_fal,
        drop_orphans,
        keep_the_old_keys,
        take_success_back,
        owe_nothing,
        take_any_account,
        rest_for_ever,
        forget_the_undecided,
        never_pull_back,
        give_orphans_up_early,
        ignore_retry_after,
        never_close_an_alert,
        raise_no_alert,
        believe_every_file,
        leave_the_job_open,
        take_nothing_in,
        trust_the_account,
        believe_one_miss,
    )
}
