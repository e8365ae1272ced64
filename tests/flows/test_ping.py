"""The dead man's switch: it is pressed while all is well, and not otherwise."""

from dataclasses import dataclass, field
from typing import cast

import pytest
from sqlalchemy import insert

from app.db.engine import Database
from app.db.reasons import reason_of
from app.db.tables import alerts
from app.domain.errors import DatabaseUnavailable
from app.flows.ping import Ping
from app.flows.steps import Steps
from app.flows.write_check import WriteCheck
from tests.fakes import START, FrozenClock

pytestmark = pytest.mark.anyio


@dataclass
class Watcher:
    """Whoever is fetched from."""

    trouble: str | None = None
    fetched: list[str | None] = field(default_factory=list)

    async def __call__(self) -> str | None:
        self.fetched.append(self.trouble)
        return self.trouble


def make(database: Database, clock: FrozenClock, watcher: Watcher) -> tuple[Ping, Steps]:
    steps = Steps(clock, reason_of)
    return Ping(database, WriteCheck(database, clock), steps, watcher), steps


def open_alert(database: Database, level: str) -> None:
    row = {"name": "keys_missing", "machine": "", "level": level, "detail": "", "opened_at": START, "seen_at": START,
           "changed_at": START}  # fmt: skip
    with database.engine.begin() as connection:
        connection.execute(insert(alerts), [row])


async def test_it_is_fetched_while_all_is_well(database: Database, clock: FrozenClock) -> None:
    """Every turn fetches once; a warning that is open does not stop it."""
    watcher = Watcher()
    ping, _ = make(database, clock, watcher)
    open_alert(database, "warn")
    assert [await ping(), await ping()] == [1, 1]


async def test_a_critical_alert_stops_it(database: Database, clock: FrozenClock) -> None:
    """A token that Telegram refuses is a critical alert that Telegram cannot tell: the silence does."""
    watcher = Watcher()
    ping, _ = make(database, clock, watcher)
    open_alert(database, "critical")
    assert (await ping(), watcher.fetched) == (0, [])


async def test_a_failing_step_stops_it(database: Database, clock: FrozenClock) -> None:
    """A step that fails again and again is no health, whatever the database says."""
    watcher = Watcher()
    ping, steps = make(database, clock, watcher)
    for _ in range(4):
        steps.failed("apply", ValueError())
        clock.move(10)
    assert (await ping(), watcher.fetched) == (0, [])


async def test_a_database_that_takes_no_writes_stops_it(database: Database, clock: FrozenClock) -> None:
    """Where nothing can be written nothing is fetched (fault 2)."""

    async def no_write() -> None:
        raise DatabaseUnavailable("the disk is full")

    watcher = Watcher()
    ping = Ping(database, cast("WriteCheck", no_write), Steps(clock, reason_of), watcher)
    with pytest.raises(DatabaseUnavailable):
        await ping()
    assert watcher.fetched == []


async def test_a_watcher_that_does_not_answer_is_tried_again(database: Database, clock: FrozenClock) -> None:
    """Its trouble is a warning once, and the next turn fetches again."""
    watcher = Watcher("timeout")
    ping, _ = make(database, clock, watcher)
    assert [await ping(), await ping()] == [0, 0]
    watcher.trouble = None
    assert (await ping(), watcher.fetched) == (1, ["timeout", "timeout", None])
