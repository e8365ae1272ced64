"""Our tables move from one database to another: all of them, as they were, or nothing."""

from collections.abc import AsyncIterator, Generator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert, select, update
from sqlalchemy.engine import Connection

from app.db import inbox, moving, outbox
from app.db.engine import Database, open_database
from app.db.migrate import migrate
from app.db.moving import CopyFailed, copy_database
from app.db.tables import deliveries, metadata, notifications
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.errors import DatabaseUnavailable
from app.domain.notification import Kind, Notification, Owner
from tests.conftest import with_database
from tests.factories import delivery
from tests.fakes import START

pytestmark = pytest.mark.anyio

SOURCE = ClaimedDelivery(Claim(1, 1), 0, "r1", b"", START, START)


@dataclass
class Move:
    """Two databases; the first one is in use."""

    source: Database
    source_url: str
    target: Database
    target_url: str

    def copy(self) -> dict[str, int]:
        return copy_database(self.source_url, self.target_url)


async def rows(database: Database, table: Table) -> list[dict[str, Any]]:
    async with database.read() as connection:
        found = await connection.execute(select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


async def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    return {table.name: await rows(database, table) for table in metadata.sorted_tables}


async def work(database: Database) -> None:
    """Deliveries pending and done, one with a body that is no text; a message owed; a slot taken."""
    async with database.write() as transaction:
        items = [delivery("r1"), delivery("r2", b"\xff\x00\x01"), delivery("r3")]
        await inbox.put(transaction, [(item, START) for item in items])
        await transaction.execute(
            update(deliveries)
            .where(deliveries.c.request_id == "r3")
            .values(state="done", reason="completed", finished_at=START + timedelta(microseconds=1))
        )
        owed = Notification("a1", "Айша 🐘", "r1", Kind.READY, Owner("o1", 42, "kk"))
        await outbox.put(transaction, [(owed, SOURCE)], START)
        await outbox.claim(transaction, now=START, lease_until=START, limit=1, rate=25)


@pytest.fixture(params=["sqlite to postgresql", "postgresql to sqlite"])
async def move(
    request: pytest.FixtureRequest, sqlite_url: str, postgres_url: str, tmp_path: Path
) -> AsyncIterator[Move]:
    first, second = (sqlite_url, postgres_url) if request.param.startswith("sqlite") else (postgres_url, sqlite_url)
    source, target = open_database(first), open_database(second)
    await work(source)
    yield Move(source, first, target, second)
    await source.close()
    await target.close()


async def test_every_row_arrives_as_it_was(move: Move) -> None:
    """All our tables, ids, moments and raw bytes included; the counts say how many."""
    before = await everything(move.source)
    copied = move.copy()
    assert await everything(move.target) == before
    assert copied == {name: len(found) for name, found in before.items()}


async def test_the_old_database_has_nothing_left_to_do(move: Move) -> None:
    """What was pending is closed there, so that a server started on it by mistake tells nothing twice."""
    move.copy()
    for table in (deliveries, notifications):
        left = await rows(move.source, table)
        assert not [row for row in left if row["state"] == "pending"]
        assert {row["reason"] for row in left if row["state"] == "ignored"} == {"moved"}


async def test_new_rows_get_new_ids(move: Move) -> None:
    """The counter of the new database goes on after the copied rows."""
    move.copy()
    async with move.target.write() as transaction:
        [receipt] = await inbox.put(transaction, [(delivery("r9"), START)])
    assert receipt.new
    assert receipt.id > max(row["id"] for row in await rows(move.source, deliveries))


async def test_a_repeat_is_still_a_repeat_after_the_move(move: Move) -> None:
    """Identity moves with the rows."""
    move.copy()
    async with move.target.write() as transaction:
        [receipt] = await inbox.put(transaction, [(delivery("r1"), START)])
    assert not receipt.new


async def test_a_target_in_use_is_refused(move: Move) -> None:
    """Two histories are never mixed; both stay as they were."""
    async with move.target.write() as transaction:
        await inbox.put(transaction, [(delivery("other"), START)])
    source, target = await everything(move.source), await everything(move.target)
    with pytest.raises(CopyFailed, match="already holds 1 rows in webhook_deliveries"):
        move.copy()
    assert (await everything(move.source), await everything(move.target)) == (source, target)


async def test_a_target_that_a_server_only_tried_is_taken(move: Move) -> None:
    """Chores and slots of an idle server are no history."""
    async with move.target.write() as transaction:
        await transaction.execute(insert(metadata.tables["webhook_chores"]).values(name="probe", due_at=START))
    before = await everything(move.source)
    move.copy()
    assert await everything(move.target) == before


async def test_a_row_that_arrives_otherwise_undoes_everything(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison comes before the commit: a driver with a bug costs nothing."""
    monkeypatch.setattr(moving, "_each", _misread_by(moving._each, move.target.engine.dialect.name))
    source = await everything(move.source)
    with pytest.raises(CopyFailed, match="webhook_deliveries did not arrive"):
        move.copy()
    assert await everything(move.source) == source
    assert not await rows(move.target, deliveries)


def _misread_by(real: Any, dialect: str) -> Any:
    def each(connection: Connection, table: Table) -> Generator[dict[str, Any], None, None]:
        with closing(real(connection, table)) as found:
            for row in found:
                yield {**row, "repeats": 8} if connection.dialect.name == dialect and "repeats" in row else dict(row)

    return each


async def test_a_database_is_not_copied_onto_itself(move: Move) -> None:
    """The same URL twice is a slip of the hand."""
    with pytest.raises(CopyFailed, match="same database"):
        copy_database(move.source_url, move.source_url)


async def test_a_target_out_of_reach_says_so(sqlite_url: str, postgres_url: str) -> None:
    """A missing database is the operator's to make; nothing has happened."""
    with pytest.raises(DatabaseUnavailable):
        copy_database(sqlite_url, with_database(postgres_url, "no_such_database"))


async def test_an_empty_database_moves(sqlite_url: str, postgres_url: str) -> None:
    """Nothing to copy is no error."""
    migrate(sqlite_url)
    copied = copy_database(sqlite_url, postgres_url)
    assert copied["webhook_deliveries"] == copied["webhook_notifications"] == 0
