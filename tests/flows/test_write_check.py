"""Readiness is a write that succeeded."""

import asyncio
import threading

import pytest
from sqlalchemy import select, update

from app.db import chores as steps
from app.db.engine import Database
from app.db.tables import chores
from app.domain.errors import DatabaseUnavailable
from app.flows import write_check
from app.flows.write_check import NAME, WriteCheck
from tests.fakes import START, FrozenClock

pytestmark = pytest.mark.anyio


async def written_at(database: Database) -> float:
    """When the row was last written, in seconds after START."""
    with database.engine.connect() as connection:
        moment = (connection.execute(select(chores.c.finished_at).where(chores.c.name == NAME))).scalar_one()
    return float((moment - START).total_seconds())


@pytest.fixture
def ask(database: Database, clock: FrozenClock) -> WriteCheck:
    return WriteCheck(database, clock)


async def test_a_sound_database_is_written_to(database: Database, ask: WriteCheck) -> None:
    """Reading proves neither a free disk nor a writable one."""
    await ask()
    assert await written_at(database) == 0


@pytest.mark.parametrize(("later", "written"), [(0.9, 0), (1, 1), (-5, -5)])
async def test_an_answer_stands_for_a_second(
    database: Database, ask: WriteCheck, clock: FrozenClock, later: float, written: float
) -> None:
    """However many ask, one write a second; a clock that steps back does not make an answer last."""
    await ask()
    clock.move(later)
    await ask()
    assert await written_at(database) == written


async def test_all_who_ask_at_once_share_one_write(
    database: Database, ask: WriteCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crowd of load balancers costs one transaction."""
    writes: list[None] = []
    real = steps.touch

    def touch(*arguments) -> None:  # noqa: ANN002  the signature is chores.touch
        writes.append(None)
        real(*arguments)

    monkeypatch.setattr(steps, "touch", touch)
    await asyncio.gather(*(ask() for _ in range(20)))
    assert len(writes) == 1


async def test_a_lost_database_is_told_and_so_is_its_return(
    database: Database, ask: WriteCheck, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No within a second of the loss, yes within a second of the return (I8)."""
    await ask()

    def down(*_) -> None:  # noqa: ANN002  the signature is chores.touch
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patch:
        patch.setattr(steps, "touch", down)
        clock.move(1)
        with pytest.raises(DatabaseUnavailable, match="gone"):
            await ask()
    with pytest.raises(DatabaseUnavailable, match="gone"):
        await ask()
    clock.move(1)
    await ask()


async def test_a_database_that_hangs_is_not_ready(
    database: Database, ask: WriteCheck, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that does not come back in time is a no; when the other lets go it is a yes (faults 6 and 9)."""
    await ask()
    clock.move(1)
    with database.engine.begin() as transaction:
        transaction.execute(update(chores).values(reason="held"))
        with monkeypatch.context() as patch:
            patch.setattr(write_check, "DEADLINE", 0.05)
            with pytest.raises(DatabaseUnavailable, match="no write within"):
                await ask()
    clock.move(1)
    await ask()


async def test_a_database_that_hangs_holds_one_thread_however_often_it_is_asked(
    database: Database, ask: WriteCheck, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries need the others: no write is begun while a late one has not ended (faults 9 and 11)."""
    end, real = threading.Event(), steps.touch
    begun: list[None] = []

    def touch(*arguments) -> None:  # noqa: ANN002  the signature is chores.touch
        begun.append(None)
        end.wait()
        real(*arguments)

    monkeypatch.setattr(steps, "touch", touch)
    with monkeypatch.context() as patch:
        patch.setattr(write_check, "DEADLINE", 0.05)
        for _ in range(3):
            with pytest.raises(DatabaseUnavailable, match="no write within"):
                await ask()
            clock.move(1)
    end.set()
    await ask()
    assert len(begun) == 2
