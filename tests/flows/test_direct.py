"""When alerts have no way the operator hears it all the same, once."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from app.db.reasons import reason_of
from app.domain.errors import DatabaseUnavailable
from app.domain.notification import Notification
from app.domain.send_outcome import Down, SendOutcome, Sent, Uncertain
from app.flows.direct import DirectAlerts
from app.flows.steps import Steps
from app.flows.watch import OperatorChat
from tests.fakes import FrozenClock

pytestmark = pytest.mark.anyio

CHAT = OperatorChat(-100_200_300, "en")
MINUTE = 60.0


@dataclass
class Street:
    """One machine whose steps fail or work, and what its operator got."""

    clock: FrozenClock
    memory: Path
    outcomes: list[SendOutcome] = field(default_factory=list)
    tried: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.steps = Steps(self.clock, reason_of)
        self.look = DirectAlerts(self.steps, self.tell, self.clock, machine="web-1", chat=CHAT, memory=self.memory)

    async def tell(self, notification: Notification) -> SendOutcome:
        self.tried.append((notification.topic, getattr(notification, "detail", "")))
        return self.outcomes.pop(0) if self.outcomes else Sent(CHAT.id, 1)

    async def fail(self, step: str, seconds: float) -> None:
        for _ in range(int(seconds / 15)):
            self.steps.failed(step, DatabaseUnavailable("down"))
            self.clock.move(15)
            await self.look()

    async def heal(self, step: str, seconds: float) -> None:
        for _ in range(int(seconds / 15)):
            self.steps.worked(step)
            self.clock.move(15)
            await self.look()


@pytest.fixture
def street(clock: FrozenClock, tmp_path: Path) -> Street:
    return Street(clock, tmp_path / "direct-alert.json")


async def test_a_failing_watch_is_told_once_and_its_end_once(street: Street) -> None:
    """However long it lasts, and over a restart in its midst (I9, fault 59)."""
    await street.fail("watch", 600)
    street.restart()
    await street.fail("watch", 600)
    assert street.tried == [("alert", "watch: the database does not answer")]
    await street.heal("watch", 600)
    assert [topic for topic, _ in street.tried] == ["alert", "resolved"]


async def test_a_short_outage_is_no_news(street: Street) -> None:
    """A database that restarts within a minute disturbs nobody."""
    await street.fail("watch", 45)
    await street.heal("watch", 900)
    assert street.tried == []


async def test_what_watch_can_tell_is_not_told_here(street: Street) -> None:
    """A failing reconcile is in the table of alerts: two ways would be two messages."""
    await street.fail("reconcile", 600)
    assert street.tried == []


async def test_a_second_process_of_the_machine_does_not_repeat_it(street: Street, clock: FrozenClock) -> None:
    """Replicas share the file."""
    other = Street(clock, street.memory)
    await street.fail("notify", 120)
    await other.fail("notify", 120)
    assert (len(street.tried), other.tried) == (1, [])


async def test_what_telegram_did_not_take_is_tried_again(street: Street) -> None:
    """Until it is taken, and then no more."""
    street.outcomes = [Down("no route"), Down("no route")]
    await street.fail("watch", 600)
    assert [topic for topic, _ in street.tried] == ["alert"] * 3


async def test_a_send_of_unknown_outcome_is_not_repeated(street: Street) -> None:
    """Never twice: the message may stand in the chat."""
    street.outcomes = [Uncertain("no answer")]
    await street.fail("watch", 600)
    assert [topic for topic, _ in street.tried] == ["alert"]


async def test_without_a_place_for_the_file_it_is_still_told_once(clock: FrozenClock, tmp_path: Path) -> None:
    """A full or read-only disk may be the very cause."""
    (tmp_path / "file").touch()
    street = Street(clock, tmp_path / "file" / "direct-alert.json")
    await street.fail("watch", 600)
    assert [topic for topic, _ in street.tried] == ["alert"]


async def test_a_missing_folder_is_made(clock: FrozenClock, tmp_path: Path) -> None:
    """DATA_DIR appears with the first file that is kept there."""
    street = Street(clock, tmp_path / "data" / "direct-alert.json")
    await street.fail("watch", 120)
    assert street.memory.exists()


async def test_a_spoilt_file_is_overwritten(street: Street) -> None:
    """What cannot be read is as if it were not there."""
    street.memory.write_text("{")
    await street.fail("watch", 600)
    assert [topic for topic, _ in street.tried] == ["alert"]


async def test_one_cause_is_not_told_by_both_ways(street: Street) -> None:
    """A step that failed with the alerts' own, and has not had its turn since they came back, is not told again."""
    for _ in range(10):
        for step in ("poll", "watch"):
            street.steps.failed(step, DatabaseUnavailable("down"))
        street.clock.move(15)
    street.steps.worked("watch")
    assert [trouble.step for trouble in street.steps.failing()] == ["poll"]
    assert street.steps.tellable() == ()
    for _ in range(3):
        street.clock.move(15)
        street.steps.failed("poll", DatabaseUnavailable("down"))
    assert [trouble.step for trouble in street.steps.tellable()] == ["poll"]
