"""What an operator hears of what is wrong: once each time, over replicas, restarts and flapping."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from app.db.engine import Database, open_database
from app.db.tables import alerts, deliveries, notifications
from app.domain.alert_rules import LATE, Certificate, MachineFacts
from app.domain.notification import AlertMessage
from app.domain.send_outcome import Sent, TokenRefused, Unreachable
from app.flows.watch import OperatorChat, Watch
from tests.factories import Bot
from tests.fakes import START, FrozenClock
from tests.flows.conftest import House, on_sqlite

pytestmark = pytest.mark.anyio

CHAT = -100_200_300
WELL = MachineFacts(
    running_for=timedelta(hours=1),
    certificate=Certificate(START - timedelta(days=1), START + timedelta(days=44)),
    keys_age=timedelta(minutes=10),
    keys_usable=True,
    clock_offset=timedelta(seconds=1),
    foreign=0,
    addresses_age=None,
    failing="",
)
REFUSED = replace(
    WELL, certificate=Certificate(START - timedelta(days=1), START + timedelta(days=44), ("ssl/a.crt: not its key",))
)
STALE = replace(WELL, keys_age=timedelta(hours=7))
MINUTE = 60.0


@dataclass
class Machine:
    """One machine's watch; `facts` is what it finds at the next look."""

    database: Database
    clock: FrozenClock
    name: str = "web-1"
    chat: OperatorChat | None = OperatorChat(CHAT, "en")  # noqa: RUF009  frozen: nobody can change it
    facts: MachineFacts = WELL
    invented: int = 0
    woken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.look = Watch(
            self.database,
            self.clock,
            lambda: self.facts,
            count_invented=lambda _: self.invented,
            machine=self.name,
            chat=self.chat,
            wake_notify=lambda: self.woken.append("notify"),
        )

    async def looks(self, count: int) -> None:
        """Look once a minute."""
        for _ in range(count):
            self.clock.move(MINUTE)
            await self.look()

    async def told(self) -> list[tuple[str, str, str]]:
        with self.database.engine.connect() as connection:
            rows = connection.execute(select(notifications).order_by(notifications.c.id))
            return [
                (row.kind, row.request_id, row.avatar_id.rpartition(".")[2])
                for row in rows
                if row.kind in ("alert", "resolved")
            ]

    async def row(self, name: str) -> dict[str, Any]:
        with self.database.engine.connect() as connection:
            return dict((connection.execute(select(alerts).where(alerts.c.name == name))).mappings().one())


@pytest.fixture
def machine(database: Database, clock: FrozenClock) -> Machine:
    return Machine(database, clock)


@pytest.fixture
async def other(database_url: str, clock: FrozenClock) -> AsyncIterator[Callable[[str], Machine]]:
    """Makes a replica with a connection of its own."""
    replica = open_database(database_url)
    yield lambda name: Machine(replica, clock, name)
    await replica.close()


async def bury(house: House, *request_ids: str) -> None:
    for request_id in request_ids:
        await house.deliver(request_id)
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(state="dead", reason="orphan", finished_at=START))


async def dig_up(house: House) -> None:
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(state="ignored"))


async def test_nothing_is_said_while_all_is_well(machine: Machine) -> None:
    """A look that finds nothing wrong writes no alert and owes no message."""
    await machine.looks(3)
    assert await machine.told() == []
    assert machine.woken == []


async def test_an_alert_opens_once(machine: Machine) -> None:
    """However many looks find it, the operator hears of it once, and the worker is woken for it once."""
    machine.facts = REFUSED
    await machine.looks(10)
    assert await machine.told() == [("alert", "certificate_refused@web-1", "critical")]
    assert machine.woken == ["notify"]


async def test_it_goes_out_like_any_message(machine: Machine, house: House) -> None:
    """The alert is sent by the notifier to the operator's chat, and the row ends as sent."""
    machine.facts = REFUSED
    await machine.look()
    assert await house.tell() == 1
    (notification,) = house.messenger.sent
    assert notification.owner.chat_id == CHAT
    assert isinstance(notification, AlertMessage)
    assert notification.detail == "ssl/a.crt: not its key"
    assert [row["state"] for row in await house.messages()] == ["sent"]


async def test_a_chat_that_cannot_be_reached_raises_no_further_alert(machine: Machine, house: House) -> None:
    """An alert that is buried itself (owner_unreachable marks no owner blocked) is not alarming again."""
    house.messenger.outcomes.append(Unreachable("403 kicked", blocked=True))
    machine.facts = REFUSED
    await machine.look()
    await house.tell()
    await machine.looks(3)
    assert [row["state"] for row in await house.messages()] == ["dead"]


async def test_shared_facts_open_one_alert_on_two_replicas(
    machine: Machine, other: Callable[[str], Machine], house: House
) -> None:
    """Two replicas look at the same moment, round after round: one message about the buried delivery."""
    await bury(house, "r1")
    second = other("web-2")
    for _ in range(5):
        machine.clock.move(MINUTE)
        await asyncio.gather(machine.look(), second.look())
    assert await machine.told() == [("alert", "deliveries_buried", "warn")]


async def test_two_processes_of_one_machine_open_one_alert(machine: Machine, other: Callable[[str], Machine]) -> None:
    """During a takeover two processes see the same broken pair at the same moment: one message."""
    second = other("web-1")
    machine.facts = second.facts = REFUSED
    for _ in range(5):
        machine.clock.move(MINUTE)
        await asyncio.gather(machine.look(), second.look())
    assert await machine.told() == [("alert", "certificate_refused@web-1", "critical")]
    assert (await machine.row("certificate_refused@web-1"))["times"] == 1


async def test_each_machine_has_its_own_alert(machine: Machine, other: Callable[[str], Machine]) -> None:
    """What is wrong on two machines is told of both, by name."""
    second = other("web-2")
    machine.facts = second.facts = REFUSED
    await machine.look()
    await second.look()
    assert {name for _, name, _ in await machine.told()} == {"certificate_refused@web-1", "certificate_refused@web-2"}


async def test_an_alert_gets_worse_once(machine: Machine) -> None:
    """warn, critical, warn, critical: one message at each level for this opening."""
    third, sixth = (Certificate(START - timedelta(days=days), START + timedelta(days=10)) for days in (25, 60))
    for certificate in (third, sixth, third, sixth):
        machine.facts = replace(WELL, certificate=certificate)
        await machine.looks(2)
    assert await machine.told() == [
        ("alert", "certificate_expiring@web-1", "warn"),
        ("alert", "certificate_expiring@web-1", "critical"),
    ]


async def test_an_alert_is_over_once(machine: Machine) -> None:
    """Gone at every look of five minutes: one message that it is over, and no other later."""
    machine.facts = REFUSED
    await machine.look()
    machine.facts = WELL
    await machine.looks(20)
    assert [kind for kind, _, _ in await machine.told()] == ["alert", "resolved"]


async def test_it_is_not_over_before_five_minutes(machine: Machine) -> None:
    """Five looks without it span four minutes: the alert stays open, for one look alone proves nothing."""
    machine.facts = REFUSED
    await machine.look()
    machine.facts = WELL
    await machine.looks(5)
    assert [kind for kind, _, _ in await machine.told()] == ["alert"]
    assert (await machine.row("certificate_refused@web-1"))["resolved_at"] is None


async def test_one_look_after_a_long_pause_does_not_end_it(machine: Machine) -> None:
    """A process that was away for an hour must miss it at two looks, too."""
    machine.facts = REFUSED
    await machine.look()
    machine.clock.move(3600)
    machine.facts = WELL
    await machine.look()
    assert [kind for kind, _, _ in await machine.told()] == ["alert"]


async def test_a_restart_repeats_nothing(machine: Machine) -> None:
    """What was told before a restart is known after it, the end as well."""
    machine.facts = REFUSED
    await machine.look()
    machine.restart()
    await machine.looks(2)
    machine.facts = WELL
    await machine.looks(3)
    machine.restart()
    await machine.looks(10)
    assert [kind for kind, _, _ in await machine.told()] == ["alert", "resolved"]


async def test_flickering_is_one_alert(machine: Machine) -> None:
    """A condition that comes and goes every other minute opens once and stays open."""
    for _ in range(20):
        machine.facts = REFUSED
        await machine.looks(1)
        machine.facts = WELL
        await machine.looks(1)
    assert [kind for kind, _, _ in await machine.told()] == ["alert"]


@on_sqlite
async def test_opening_again_and_again_is_not_told_each_time(machine: Machine) -> None:
    """Seven minutes on, seven off, for four hours: seventeen openings, of which the first is told, with its end."""
    for _ in range(17):
        machine.facts = STALE
        await machine.looks(7)
        machine.facts = WELL
        await machine.looks(7)
    kinds = [kind for kind, _, _ in await machine.told()]
    assert kinds == ["alert", "resolved"]
    assert (await machine.row("keys_stale@web-1"))["times"] == 17


@on_sqlite
async def test_an_opening_held_back_is_told_if_it_lasts(machine: Machine) -> None:
    """Opened again ten minutes after the last message and still open at the full hour: then it is told."""
    machine.facts = REFUSED
    await machine.look()
    machine.facts = WELL
    await machine.looks(10)
    machine.facts = REFUSED
    await machine.looks(49)
    assert [kind for kind, _, _ in await machine.told()] == ["alert", "resolved"]
    await machine.looks(1)
    assert [kind for kind, _, _ in await machine.told()] == ["alert", "resolved", "alert"]


async def test_without_a_chat_it_is_logged_and_kept(machine: Machine) -> None:
    """No OPERATOR_CHAT_ID: opening and end stand in the log and in the table, and no message is owed."""
    machine.chat = None
    machine.restart()
    with capture_logs() as lines:
        machine.facts = REFUSED
        await machine.look()
        machine.facts = WELL
        await machine.looks(10)
    assert [(line["event"], line["alert"], line["told"]) for line in lines] == [
        ("alert.opened", "certificate_refused@web-1", False),
        ("alert.resolved", "certificate_refused@web-1", False),
    ]
    assert await machine.told() == []


async def test_a_chat_that_is_named_later_hears_what_is_open(machine: Machine) -> None:
    """OPERATOR_CHAT_ID set and the server restarted: the open alert is told."""
    chat, machine.chat = machine.chat, None
    machine.restart()
    machine.facts = REFUSED
    await machine.look()
    machine.chat = chat
    machine.restart()
    await machine.looks(2)
    assert await machine.told() == [("alert", "certificate_refused@web-1", "critical")]


async def test_many_buried_rows_are_worse_than_one(machine: Machine, house: House) -> None:
    """One buried delivery warns, ten are critical, and none is the end of it."""
    await bury(house, "r1")
    await machine.looks(1)
    await bury(house, *(f"r{number}" for number in range(2, 11)))
    await machine.looks(1)
    await dig_up(house)
    await machine.looks(7)
    assert await machine.told() == [
        ("alert", "deliveries_buried", "warn"),
        ("alert", "deliveries_buried", "critical"),
        ("resolved", "deliveries_buried", "critical"),
    ]


async def test_a_refused_token_is_told_once_it_works_again(machine: Machine, house: House) -> None:
    """Telegram says 401: the alert is logged at once and goes out with the other waiting messages (fault 42)."""
    machine.facts = REFUSED
    await machine.look()
    house.messenger.outcomes.append(TokenRefused("401 Unauthorized"))
    await house.tell()
    with capture_logs() as lines:
        await machine.looks(1)
    assert [(line["event"], line["alert"]) for line in lines] == [("alert.opened", "telegram_refused")]
    house.messenger.outcomes.append(Sent(1, CHAT))
    for _ in range(10):
        house.clock.move(MINUTE)
        await house.tell()
        await machine.look()
    told = [(notification.topic.value, notification.request_id) for notification in house.messenger.sent]
    assert ("alert", "telegram_refused") in told
    assert told[-1] == ("resolved", "telegram_refused")
    assert {row["state"] for row in await house.messages()} == {"sent"}


async def test_foreign_deliveries_are_told_when_they_come(machine: Machine) -> None:
    """A count that grew since the last look opens; the same count again is nothing new (fault 20)."""
    machine.facts = replace(WELL, foreign=3)
    await machine.look()
    assert (await machine.row("foreign_account@web-1"))["detail"] == "3"
    await machine.looks(10)
    assert [kind for kind, _, _ in await machine.told()] == ["alert", "resolved"]


async def test_a_machine_that_is_gone_keeps_no_alert_open(machine: Machine, other: Callable[[str], Machine]) -> None:
    """A container that never looked again since yesterday: another machine ends its alert."""
    gone = other("a1b2c3")
    gone.facts = REFUSED
    await gone.look()
    machine.clock.move(timedelta(days=1, minutes=1).total_seconds())
    machine.facts = replace(WELL, certificate=None)
    await machine.look()
    assert await machine.told() == [
        ("alert", "certificate_refused@a1b2c3", "critical"),
        ("resolved", "certificate_refused@a1b2c3", "critical"),
    ]


async def test_a_machine_that_comes_back_keeps_its_own(machine: Machine) -> None:
    """Two days off and the pair is still broken: the alert was never over."""
    machine.facts = replace(
        REFUSED, certificate=Certificate(START, START + timedelta(days=300), ("a.crt: not its key",))
    )
    await machine.look()
    machine.clock.move(timedelta(days=2).total_seconds())
    await machine.look()
    assert [kind for kind, _, _ in await machine.told()] == ["alert"]


async def test_what_was_over_long_ago_is_forgotten(machine: Machine) -> None:
    """Ninety days after its end an alert leaves the table."""
    machine.facts = replace(
        REFUSED, certificate=Certificate(START, START + timedelta(days=900), ("a.crt: not its key",))
    )
    await machine.look()
    machine.facts = replace(machine.facts, certificate=None)
    await machine.looks(7)
    machine.clock.move(timedelta(days=90, minutes=1).total_seconds())
    await machine.look()
    with machine.database.engine.connect() as connection:
        assert (connection.execute(select(alerts))).all() == []


async def test_messages_that_wait_long_are_told_of(machine: Machine, house: House, bot: Bot) -> None:
    """Telegram is away for hours: the alert opens, and goes out after what it is about (fault 43)."""
    await bot.train("r1")
    await house.deliver("r1")
    await house.apply()
    machine.clock.move((LATE + timedelta(seconds=1)).total_seconds())
    machine.facts = replace(WELL, certificate=None)
    await machine.look()
    assert await machine.told() == [("alert", "notifications_late", "warn")]


async def test_the_queues_heal_after_the_clock_stepped_back(machine: Machine, house: House, bot: Bot) -> None:
    """Rows, leases and the watch's own tick of a clock that was a day ahead: due at the next look (fault 15)."""
    await bot.train("r1")
    machine.clock.move(24 * 3600)
    await house.deliver("r1")
    await machine.look()
    machine.clock.move(-24 * 3600)
    assert await house.apply() == 0
    with capture_logs() as lines:
        await machine.look()
    assert [(line["log_level"], line["rows"]) for line in lines if line["event"] == "queue.pulled_back"] == [
        ("warning", 1)
    ]
    assert await house.apply() == 1
