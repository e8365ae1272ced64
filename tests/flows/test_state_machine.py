"""Any order of deliveries, crashes, outages and operators keeps the promises I1 to I3 (faults 1, 12, 22-27, 42, 43).

Nobody is told twice, and nobody falsely: of our account and our trouble only after the operator was alerted, and that
it works again only after it was promised, when it is true and the avatar is not ready.

`STATE_MACHINE_STEPS=2000` walks further than the suite does; `STATE_MACHINE_SEED` begins elsewhere.
"""

import asyncio
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select, text

from app.db import inbox, outbox
from app.db.engine import Connection, Database, open_database
from app.db.group_commit import GroupCommit
from app.db.operator_queries import CHANGEABLE, Queue
from app.db.schema import find_bot_tables
from app.db.tables import deliveries, metadata, notifications
from app.domain.alert import Condition
from app.domain.alert_rules import MachineFacts
from app.domain.look import Trouble, Unsaid
from app.domain.notification import AlertMessage, Cause, Notification, OwnerMessage, Topic
from app.domain.send_outcome import Down, Rejected, SendOutcome, Sent, SlowDown, TokenRefused, Uncertain, Unreachable
from app.domain.training import Change, Training
from app.fal.payload import FalAnswer
from app.flows.apply import Apply
from app.flows.notify.claiming import Notify
from app.flows.notify.recording import write_records
from app.flows.operate import Operation, operate
from app.flows.planning import RetryLimits
from app.flows.promises import Promises
from app.flows.prune import Prune
from app.flows.watch import OperatorChat, Watch
from tests.factories import Bot, delivery, empty_ok_body, error_body, ok_body, result_answer
from tests.fakes import FakeFalQueue, FrozenClock, moving_sleep, no_jitter
from tests.flows.conftest import House, kinds_of

STEPS = int(os.environ.get("STATE_MACHINE_STEPS", "200"))  # noqa: TID251  a setting of the tests
SEED = int(os.environ.get("STATE_MACHINE_SEED", "20261122"))  # noqa: TID251  as above
WALK = 40  # steps of one example
LEASE = timedelta(seconds=60)
KEEP = timedelta(days=7)
DAY = 24 * 3600

T = TypeVar("T")
Told = tuple[str, str, str]  # avatar, request id, kind

REQUESTS = st.sampled_from(["r1", "r2"])
BODIES: dict[str, Callable[[str], bytes]] = {
    "success": ok_body,
    "the same success, other bytes": partial(ok_body, seed=7),
    "another success": partial(ok_body, lora="https://v3.fal.media/files/lion/lora.safetensors"),
    "failure": error_body,
    "another failure": partial(error_body, detail="timed out"),
    "our account is locked": partial(error_body, detail="User is locked. Reason: Exhausted balance."),
    "OK without a payload": empty_ok_body,
    "another request's body": lambda _: ok_body("r9"),
    "garbage": lambda request_id: b"\x00\xff" + request_id.encode(),
}
TELEGRAM: dict[str, SendOutcome] = {
    "slow down": SlowDown(30),
    "slow down for an hour": SlowDown(3600),
    "down": Down("502"),
    "blocked": Unreachable("Forbidden: bot was blocked by the user", blocked=True),
    "rejected": Rejected("Bad Request"),
    "token refused": TokenRefused("Unauthorized"),
    "lost": Uncertain("timeout"),
}
WELL = MachineFacts(timedelta(hours=1), None, timedelta(0), True, timedelta(0), 0, None, "")
TROUBLES = {Condition.DELIVERIES_BURIED, Condition.FAL_KEY_MISSING, Condition.FAL_KEY_REFUSED}
SEEN = ("ok", "seen, but the answer was lost", "seen, then the process died")  # what of it reaches the owner
FAL: dict[str, FalAnswer | Unsaid | None] = {
    "fal is down": Unsaid(Trouble.FAL_DOWN, "502"),
    "fal forgot": FalAnswer(404, {}, b'{"detail": "Request not found"}'),
    "fal has the result": None,
    "fal has nothing in it": None,
}
DEATHS = ["at rest", "inbox claimed", "outbox claimed", "before the change", "after the change"]
MODES = [*SEEN, *TELEGRAM, "the process died first", "bug"]
NEXT = st.sampled_from(["nothing", "apply", *SEEN, *SEEN, *SEEN, *MODES])  # what the server does then


@dataclass
class Weather:
    """A way to tell that is as the weather is; remembers what owners really saw."""

    mode: str = "ok"
    seen: Counter[Told] = field(default_factory=Counter)
    alerted: set[Condition] = field(default_factory=set)  # what the operator has read of
    promised: dict[tuple[str, str], bool] = field(default_factory=dict)  # and whether the account has worked since
    lies: list[str] = field(default_factory=list)

    async def __call__(self, notification: Notification) -> SendOutcome:
        if self.mode in TELEGRAM:
            return TELEGRAM[self.mode]
        if self.mode == "bug":
            raise ZeroDivisionError
        if self.mode == "the process died first":
            raise asyncio.CancelledError
        self.hear(notification)
        self.seen[notification.subject, notification.request_id, notification.topic.value] += 1
        if self.mode == "seen, then the process died":
            raise asyncio.CancelledError
        if self.mode == "seen, but the answer was lost":
            return Uncertain("timeout")
        return Sent(self.seen.total(), notification.owner.chat_id or 0)

    def hear(self, notification: Notification) -> None:
        """Hold what is read to what is true at that moment."""
        about = notification.subject, notification.request_id
        match notification:
            case AlertMessage(topic=Topic.ALERT, condition=condition):
                self.alerted.add(condition)
            case OwnerMessage(topic=Topic.FAILED, cause=Cause.OUR_ACCOUNT):
                self.promised.setdefault(about, False)
                self.note(about, "our account", is_true=Condition.ACCOUNT_LOCKED in self.alerted)
            case OwnerMessage(topic=Topic.TROUBLE_OURS):
                is_known = any((*about, topic) in self.seen for topic in ("ready", "failed"))
                self.note(about, "trouble", is_true=bool(self.alerted & TROUBLES) and not is_known)
            case OwnerMessage(topic=Topic.ACCOUNT_BACK):
                is_true = self.promised.get(about, False) and (*about, "ready") not in self.seen
                self.note(about, "account back", is_true=is_true)

    def note(self, about: tuple[str, str], word: str, *, is_true: bool) -> None:
        if not is_true:
            self.lies.append(f"{word}: {about}")

    def account_works(self) -> None:
        """Of every promise it is true from now on that it can be kept."""
        self.promised = dict.fromkeys(self.promised, True)


class Life(RuleBasedStateMachine):
    """Everything that can happen to two flows on one database."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.runner = asyncio.Runner()
        self.clock = FrozenClock()
        self.telegram = Weather()
        self.arrived: dict[tuple[str, str], bytes] = {}
        self.ended: dict[str, tuple[str, Any]] = {}  # an avatar's final word and artifact
        self.trained: dict[str, str] = {}
        self.is_unlocked = True
        self.run(self.open())

    def run(self, work: Awaitable[T]) -> T:
        async def whole() -> T:
            return await work

        return self.runner.run(whole())

    async def open(self) -> None:
        """Start a process: everything but the database, the clock and the outside is new."""
        database = open_database(self.url)
        bot_tables = await find_bot_tables(database)
        fal = FakeFalQueue()
        records = GroupCommit(database, partial(write_records, bot_tables))
        notify = Notify(
            database,
            records,
            self.telegram,
            self.clock,
            lease=LEASE,
            limit=3,
            rate=25,
            chance=no_jitter,
            sleep=moving_sleep(self.clock),
        )
        apply = Apply(
            database,
            kinds_of(bot_tables),
            fal,
            self.clock,
            RetryLimits(3, timedelta(hours=24), LEASE),
            chance=no_jitter,
            wake_notify=lambda: None,
        )
        self.house = House(database, self.clock, apply, notify, records, fal, self.telegram)  # type: ignore[arg-type]  # no test of this file asks the house for its messenger
        self.watch = Watch(
            database,
            self.clock,
            lambda: WELL,
            count_invented=lambda _: 0,
            machine="web-1",
            chat=OperatorChat(-7, "en"),
            wake_notify=lambda: None,
        )
        self.promises_kept = Promises(database, bot_tables, self.clock, is_open=self.is_open, wake_notify=lambda: None)
        self.bot_tables = bot_tables
        self.bot = Bot(database)
        self.writer = asyncio.create_task(records.run())

    async def is_open(self) -> bool:
        return self.is_unlocked

    async def close(self) -> None:
        """End the process without a goodbye."""
        self.writer.cancel()
        await self.house.notify.close(0)
        await asyncio.gather(self.writer, return_exceptions=True)
        await self.house.database.close()

    @property
    def database(self) -> Database:
        return self.house.database

    # What the outside does

    @initialize(request_id=REQUESTS, kind=st.sampled_from(["success", "failure"]), then=NEXT)
    def begin_well(self, request_id: str, kind: str, then: str) -> None:
        """A training, its delivery, a message owed: what follows happens to them."""
        self.train(request_id)
        self.deliver(request_id, [kind], then)

    @rule(request_id=REQUESTS, kinds=st.lists(st.sampled_from(list(BODIES)), min_size=1, max_size=3), then=NEXT)
    def deliver(self, request_id: str, kinds: list[str], then: str) -> None:
        """One or several deliveries of a request, in any order, arrive together, new ones or repeats of old ones."""
        self.run(self.arrive([(request_id, BODIES[kind](request_id)) for kind in kinds]))
        if any("success" in kind for kind in kinds):  # of a later training, that proves as much as an answer
            self.telegram.account_works()
        self.work(then)

    async def arrive(self, group: list[tuple[str, bytes]]) -> None:
        now = self.clock.at
        with self.database.engine.begin() as transaction:
            inbox.put(transaction, [(delivery(request_id, body, now), now) for request_id, body in group])
        for request_id, body in group:
            self.arrived[request_id, hashlib.sha256(body).hexdigest()] = body

    @rule(event=st.sampled_from(["the bot trains", "the owner cancels", *FAL]), request_id=REQUESTS)
    def elsewhere(self, event: str, request_id: str) -> None:
        """The bot writes its id, perhaps after fal has answered; owners cancel; fal's queue comes and goes."""
        fal = self.house.fal
        match event:
            case "the bot trains":
                self.train(request_id)
            case "the owner cancels":
                self.run(self.cancel(request_id))
            case "fal has the result" | "fal has nothing in it":
                body = (ok_body if event == "fal has the result" else empty_ok_body)(request_id)
                fal.results[request_id] = result_answer(body)
            case _:
                fal.results.pop(request_id, None)
                fal.trouble = FAL[event] or fal.trouble

    def train(self, request_id: str) -> None:
        if request_id not in self.trained:
            number = len(self.trained) + 1
            self.trained[request_id] = self.run(self.bot.train(request_id, telegram_id=str(number)))

    async def cancel(self, request_id: str) -> None:
        statement = "UPDATE avatars SET status = 'cancelled' WHERE fal_request_id = :id AND status = 'training'"
        with self.database.engine.begin() as transaction:
            transaction.execute(text(statement), {"id": request_id})

    # What the server does

    @rule(seconds=st.sampled_from([1, 5, 31, 61, 301, 3601, DAY, 8 * DAY, -0.5, -2, -5]), then=NEXT)
    def time_passes(self, seconds: float, then: str) -> None:
        """Forwards, or a small step back; the hourly chore runs."""
        self.clock.move(seconds)
        self.run(Prune(self.database, self.clock, KEEP)())
        self.work(then)

    @rule(minutes=st.sampled_from([1, 2, 31]), is_unlocked=st.sampled_from([None, False, True]), then=NEXT)
    def minutes_pass(self, minutes: int, is_unlocked: bool | None, then: str) -> None:
        """The operator's alerts and the owners' promises take their turns; the account is locked, or works again."""
        if is_unlocked is not None:
            self.is_unlocked = is_unlocked
        for _ in range(minutes):
            self.clock.move(60)
            self.minute()
        self.work(then)

    def minute(self) -> None:
        if self.is_unlocked:
            self.telegram.account_works()
        self.run(self.watch())
        self.run(self.promises_kept())

    def work(self, then: str) -> None:
        """Apply what is due and tell what is due, in this weather."""
        if then == "nothing":
            return
        self.run(self.house.apply())
        if then != "apply":
            self.clock.move(1)  # so that no chat has to rest
            self.telegram.mode = then
            self.run(self.house.tell())

    # What the process suffers

    @rule(
        where=st.sampled_from(["at rest", "inbox claimed", "outbox claimed", "before the change", "after the change"]),
        then=NEXT,
    )
    def die(self, where: str, then: str) -> None:
        """The process ends: idle, with rows claimed that nobody will finish, or in the middle of a commit."""
        match where:
            case "inbox claimed" | "outbox claimed":
                self.run(self.claim(where))
            case "before the change" | "after the change":
                self.run(self.apply_and_die(where))
        self.run(self.close())
        self.run(self.open())
        self.work(then)

    async def claim(self, where: str) -> None:
        now = self.clock.at
        with self.database.engine.begin() as transaction:
            if where == "inbox claimed":
                inbox.claim(transaction, now=now, lease_until=now + LEASE, limit=2)
            else:
                outbox.claim(transaction, now=now, lease_until=now + LEASE, limit=2, rate=25)

    async def apply_and_die(self, where: str) -> None:
        change = self.bot_tables.change

        def cut(connection: Connection, changes: Sequence[tuple[Training, Change, str]]) -> None:
            if where == "after the change":
                change(connection, changes)
            raise asyncio.CancelledError

        self.bot_tables.change = cut  # type: ignore[method-assign]  # the process dies there
        try:
            await self.house.apply()
        except asyncio.CancelledError:
            pass
        finally:
            self.bot_tables.change = change  # type: ignore[method-assign]  # as above

    # What the operator does

    @rule(
        queue=st.sampled_from(CHANGEABLE),
        operation=st.sampled_from([Operation.REDRIVE, Operation.REDRIVE, Operation.IGNORE]),
        ids=st.sampled_from([[1], [2], [1, 2, 3, 4, 5, 6]]),
        then=NEXT,
    )
    def operate(self, queue: Queue, operation: Operation, ids: list[int], then: str) -> None:
        """A row, or all of them by a shell loop."""
        self.run(operate(self.database, self.clock, queue, operation, ids=ids, who="aisha"))
        self.work(then)

    # What holds after every step

    @invariant()
    def promises(self) -> None:
        self.run(self.check())

    async def check(self) -> None:
        with self.database.engine.connect() as connection:
            inbox_rows = [dict(row) for row in (connection.execute(select(deliveries))).mappings()]
            messages = [dict(row) for row in (connection.execute(select(notifications))).mappings()]
            found = connection.execute(text("SELECT id, status, diffusers_lora_file_url AS lora FROM avatars"))
            avatars = {str(row.id): (row.status, row.lora) for row in found}
        self.check_inbox(inbox_rows)
        self.check_avatars(avatars, inbox_rows)
        self.check_messages(messages, avatars)

    def check_inbox(self, rows: list[dict[str, Any]]) -> None:
        """I1: what was acknowledged is there byte for byte; only what is finished may have been forgotten."""
        assert {(row["request_id"], row["body_sha256"]) for row in rows} == set(self.arrived)
        for row in rows:
            body = self.arrived[row["request_id"], row["body_sha256"]]
            assert row["body"] == body or (row["body"] is None and row["state"] in ("done", "ignored"))
            assert (row["finished_at"] is None) == (row["state"] == "pending")

    def check_avatars(self, avatars: dict[str, tuple[str, Any]], rows: list[dict[str, Any]]) -> None:
        """I2: one end per request; a success is never taken back nor exchanged, and never claimed without proof."""
        for avatar_id, (status, lora) in avatars.items():
            assert status in ("training", "error", "completed", "cancelled")
            assert (status == "completed") == (lora is not None)
            before = self.ended.get(avatar_id)
            if before is not None and before[0] in ("completed", "cancelled"):
                assert (status, lora) == before
            elif before is not None:
                assert status in ("error", "completed")
            if status != "training":
                self.ended[avatar_id] = (status, lora)
        ends = Counter((row["fal_request_id"], row["reason"]) for row in rows if row["state"] == "done")
        assert all(count == 1 for (_, why), count in ends.items() if why in ("completed", "failed"))

    def check_messages(self, messages: list[dict[str, Any]], avatars: dict[str, tuple[str, Any]]) -> None:
        """I3: one message per (avatar, request, kind), one more only for each counted send of unknown outcome."""
        assert self.telegram.lies == []
        told = {(row["avatar_id"], row["request_id"], row["kind"]): row for row in messages}
        assert len(told) == len(messages)
        assert set(self.telegram.seen) <= set(told)
        for key, row in told.items():
            if row["kind"] in ("ready", "failed"):
                status = avatars[row["avatar_id"]][0]
                assert status == "completed" if row["kind"] == "ready" else status in ("error", "completed")
            sent = row["state"] == "sent"
            not_counted_yet = row["reason"] == "sending"
            assert self.telegram.seen[key] <= sent + row["uncertain"] + not_counted_yet
            assert self.telegram.seen[key] >= sent

    def teardown(self) -> None:
        """I6: in fair weather everything that can end does, without a hand."""
        try:
            self.run(self.settle())
        finally:
            self.run(self.close())
            self.runner.close()

    async def settle(self) -> None:
        self.telegram.mode = "ok"
        self.is_unlocked = True
        for request_id in self.trained:
            self.house.fal.results[request_id] = result_answer(ok_body(request_id))
        for _ in range(8):
            self.clock.move(3601)
            while await self.house.apply():
                pass
            await self.tell_all()
            self.telegram.account_works()
            await self.watch()
            await self.promises_kept()
        await self.tell_all()
        await self.check()
        assert not [row for row in await self.house.messages() if row["state"] == "pending"]
        waiting = [row for row in await self.house.rows() if row["state"] == "pending"]
        assert {row["reason"] for row in waiting} <= {"orphan"}
        assert all(row["fal_request_id"] not in self.trained for row in waiting)

    async def tell_all(self) -> None:
        """Tell what is due, and what one chat hears a second later because it was told something else first."""
        for _ in range(60):
            while await self.house.tell():
                pass
            if not any(row["reason"] == "paced" for row in await self.house.messages() if row["state"] == "pending"):
                break
            self.clock.move(1)


def walk(start: Callable[[], Life], steps: int) -> None:
    seeded: Any = seed(SEED)(start)  # hypothesis takes any maker of machines
    run_state_machine_as_test(
        seeded,
        settings=settings(
            max_examples=max(1, steps // WALK),
            stateful_step_count=WALK,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )


def test_every_promise_holds_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    """Whatever happens in whatever order, nothing acknowledged is lost, nothing is applied or told twice uncounted."""
    path = tmp_path / "life.db"

    def start() -> Life:
        for leftover in tmp_path.iterdir():
            leftover.unlink()
        shutil.copy(sqlite_template, path)
        return Life(f"sqlite:///{path}")

    walk(start, STEPS)


def test_every_promise_holds_on_postgresql(postgres_url: str) -> None:
    """The same on the other database, on a shorter way."""

    def start() -> Life:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"TRUNCATE users, avatars, {', '.join(metadata.tables)} RESTART IDENTITY")
        return Life(postgres_url)

    walk(start, STEPS // 5)
