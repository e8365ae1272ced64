"""What an owner was told of before anybody saw it is looked at again, for a day."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from app.db.engine import Database
from app.domain.artifact import ArtifactCheck, ArtifactLook, Sight
from app.domain.artifact_verdict import LAG
from app.flows import look_again
from app.flows.artifacts import ArtifactLooks
from app.flows.look_again import BATCH, LookAgain
from tests.fakes import FakeStore, FrozenClock
from tests.job_rows import put, states

pytestmark = pytest.mark.anyio

ABSENT = ArtifactLook(Sight.ABSENT, "http_404")
UNREACHABLE = ArtifactLook(Sight.UNREACHABLE, "timeout")
MINUTE = 60.0


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
async def chore(database: Database, clock: FrozenClock, store: FakeStore) -> AsyncIterator[LookAgain]:
    looks = ArtifactLooks(store, ArtifactCheck.REQUIRE, elapsed=clock.elapsed)
    yield LookAgain(database, clock, looks)
    await looks.close(0)


async def test_what_is_seen_late_is_noted(database: Database, chore: LookAgain) -> None:
    """One look, one line, and it is not looked at again."""
    put(database, "r1")
    with capture_logs() as lines:
        assert await chore() == 1
    assert states(database) == {"r1": "seen"}
    assert [(line["event"], line["avatar"]) for line in lines] == [("artifact.seen", "avatar-of-r1")]


async def test_what_is_absent_after_all_is_the_operator_s(
    database: Database, chore: LookAgain, store: FakeStore, clock: FrozenClock
) -> None:
    """Found absent ten minutes after its end: the row says so, and a line in the log; nothing else changes."""
    put(database, "r1")
    store.every = ABSENT
    clock.move(LAG.total_seconds())
    with capture_logs() as lines:
        assert await chore() == 1
    assert states(database) == {"r1": "absent"}
    [line] = lines
    assert (line["event"], line["log_level"], line["why"]) == ("artifact.absent", "error", "http_404")


@pytest.mark.parametrize("look", [ABSENT, UNREACHABLE])
async def test_what_is_not_certain_stays_unverified(
    database: Database, chore: LookAgain, store: FakeStore, clock: FrozenClock, look: ArtifactLook
) -> None:
    """A CDN that is silent, or that may still lag, is looked at in the next turn."""
    put(database, "r1")
    store.every = look
    with capture_logs() as lines:
        assert await chore() == 0
    assert (states(database), lines) == ({"r1": "unverified"}, [])
    clock.move(MINUTE)
    store.every = ArtifactLook(Sight.SEEN)
    assert await chore() == 1


async def test_a_day_is_enough(database: Database, chore: LookAgain, store: FakeStore, clock: FrozenClock) -> None:
    """What nobody could see for a day is left as it is."""
    put(database, "r1")
    clock.move(timedelta(days=1).total_seconds() + 1)
    assert await chore() == 0
    assert (store.asked, states(database)) == ([], {"r1": "unverified"})


async def test_it_looks_once_a_minute_for_all_replicas(
    database: Database, chore: LookAgain, store: FakeStore, clock: FrozenClock
) -> None:
    """Whoever comes within the minute finds the chore done."""
    put(database, "r1")
    store.every = UNREACHABLE
    await chore()
    await chore()
    assert len(store.asked) == 1
    clock.move(MINUTE)
    await chore()
    assert len(store.asked) == 2


async def test_those_that_stay_unreachable_keep_nobody_out(
    database: Database, chore: LookAgain, store: FakeStore, clock: FrozenClock
) -> None:
    """Twenty a turn, each turn where the one before ended, then from the beginning."""
    for number in range(BATCH + 1):
        put(database, f"r{number}", lora_url=f"https://v3.fal.media/{number}")
    store.every = UNREACHABLE
    turns = []
    for _ in range(3):
        await chore()
        turns.append([url.rpartition("/")[2] for url in store.asked])
        store.asked.clear()
        clock.move(MINUTE)
    assert turns == [[str(n) for n in range(BATCH)], [str(BATCH)], [str(n) for n in range(BATCH)]]


async def test_without_looks_there_is_nothing_to_do(database: Database, clock: FrozenClock) -> None:
    """ARTIFACT_CHECK=off: the chore is not even claimed."""
    put(database, "r1")
    assert await LookAgain(database, clock, None)() == 0
    assert states(database) == {"r1": "unverified"}


def test_its_lease_outlasts_its_looks() -> None:
    """Twenty looks at the same time end long before another replica may take the chore."""
    assert look_again.LEASE.total_seconds() > 4 * look_again.LOOK_SECONDS
