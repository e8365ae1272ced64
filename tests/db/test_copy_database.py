"""Our tables move from one database to another: all of them, as they were, or nothing."""

from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, insert, select, text, update
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError

from app.db import copy_database as module
from app.db import inbox, outbox
from app.db.copy_database import closing_statements, copy_database
from app.db.engine import Database, open_database
from app.db.migrate import migrate, open_for_migration
from app.db.tables import deliveries, metadata, notifications
from app.domain.delivery import Claim, ClaimedDelivery
from app.domain.errors import CopyFailed, DatabaseUnavailable, OldNotClosed
from app.domain.notification import Owner, OwnerMessage, Topic
from tests.factories import delivery
from tests.fakes import START
from tests.postgres import with_database

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
    with database.engine.connect() as connection:
        found = connection.execute(select(table).order_by(*table.primary_key.columns))
        return [dict(row) for row in found.mappings()]


async def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    return {table.name: await rows(database, table) for table in metadata.sorted_tables}


async def work(database: Database) -> None:
    """Deliveries pending and done, one with a body that is no text; a message owed; a slot taken."""
    with database.engine.begin() as transaction:
        items = [delivery("r1"), delivery("r2", b"\xff\x00\x01"), delivery("r3")]
        inbox.put(transaction, [(item, START) for item in items])
        transaction.execute(
            update(deliveries)
            .where(deliveries.c.request_id == "r3")
            .values(state="done", reason="completed", finished_at=START + timedelta(microseconds=1))
        )
        owed = OwnerMessage("a1", "Айша 🐘", "r1", Topic.READY, Owner("o1", 42, "kk"))
        outbox.put(transaction, [(owed, SOURCE)], START)
        outbox.claim(transaction, now=START, lease_until=START, limit=1, rate=25)


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
    with move.target.engine.begin() as transaction:
        [receipt] = inbox.put(transaction, [(delivery("r9"), START)])
    assert receipt.new
    assert receipt.id > max(row["id"] for row in await rows(move.source, deliveries))


async def test_a_repeat_is_still_a_repeat_after_the_move(move: Move) -> None:
    """Identity moves with the rows."""
    move.copy()
    with move.target.engine.begin() as transaction:
        [receipt] = inbox.put(transaction, [(delivery("r1"), START)])
    assert not receipt.new


async def test_a_target_in_use_is_refused(move: Move) -> None:
    """Two histories are never mixed; both stay as they were."""
    with move.target.engine.begin() as transaction:
        inbox.put(transaction, [(delivery("other"), START)])
    source, target = await everything(move.source), await everything(move.target)
    with pytest.raises(CopyFailed) as failed:
        move.copy()
    assert (failed.value.code, failed.value.facts) == ("target_in_use", {"count": 1, "table": "webhook_deliveries"})
    assert (await everything(move.source), await everything(move.target)) == (source, target)


async def test_a_target_that_a_server_only_tried_is_taken(move: Move) -> None:
    """Chores and slots of an idle server are no history."""
    with move.target.engine.begin() as transaction:
        transaction.execute(insert(metadata.tables["webhook_chores"]).values(name="probe", due_at=START))
    before = await everything(move.source)
    move.copy()
    assert await everything(move.target) == before


async def test_a_row_that_arrives_otherwise_undoes_everything(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison comes before the commit: a driver with a bug costs nothing."""
    monkeypatch.setattr(module, "_each", _misread_by(module._each, move.target.engine.dialect.name))
    source = await everything(move.source)
    with pytest.raises(CopyFailed) as failed:
        move.copy()
    assert (failed.value.code, failed.value.facts) == ("row_differs", {"table": "webhook_deliveries"})
    assert await everything(move.source) == source
    assert not await rows(move.target, deliveries)


def _misread_by(real: Any, dialect: str) -> Any:
    def each(connection: Connection, table: Table) -> Generator[dict[str, Any], None, None]:
        with closing(real(connection, table)) as found:
            for row in found:
                yield {**row, "repeats": 8} if connection.dialect.name == dialect and "repeats" in row else dict(row)

    return each


def broken_at_the_commit(url: str, *, lost: bool) -> Any:
    """Open as `open_for_migration` does, but let the commit on `url` fail; `lost`: because the connection broke."""

    @contextmanager
    def opened(database_url: str) -> Iterator[Connection]:
        with open_for_migration(database_url) as connection:
            yield connection
            if database_url == url:
                raise OperationalError("COMMIT", {}, OSError("no answer\nto COMMIT"), connection_invalidated=lost)

    return opened


async def test_an_old_database_that_stays_open_is_told(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commit comes second: when only that fails, all rows are in the new one, and that is no "nothing copied"."""
    monkeypatch.setattr(module, "open_for_migration", broken_at_the_commit(move.source_url, lost=True))
    before = await everything(move.source)
    with pytest.raises(OldNotClosed) as half:
        move.copy()
    assert (half.value.code, half.value.facts) == ("old_open", {"cause": "no answer"})
    assert await everything(move.target) == await everything(move.source) == before


@pytest.mark.parametrize(("lost", "error"), [(True, OldNotClosed), (False, CopyFailed)])
async def test_a_new_database_that_breaks_off_in_its_commit(
    move: Move, monkeypatch: pytest.MonkeyPatch, error: type[CopyFailed] | type[OldNotClosed], *, lost: bool
) -> None:
    """A refused commit copied nothing; of one whose answer is lost nobody can say that. The old one is untouched."""
    monkeypatch.setattr(module, "open_for_migration", broken_at_the_commit(move.target_url, lost=lost))
    before = await everything(move.source)
    with pytest.raises((CopyFailed, OldNotClosed)) as failed:
        move.copy()
    assert type(failed.value) is error
    assert failed.value.code == ("commit_unknown" if lost else "database")
    assert await everything(move.source) == before


async def test_the_statements_for_the_operator_close_the_old_database(move: Move) -> None:
    """What is printed for psql and sqlite3 leaves what the copy itself would have left."""
    with move.source.engine.begin() as transaction:
        for statement in closing_statements():
            transaction.execute(text(statement))
    by_hand = await everything(move.source)
    assert {row["reason"] for row in by_hand["webhook_deliveries"]} == {"moved", "completed"}
    assert {row["state"] for row in by_hand["webhook_notifications"]} == {"ignored"}


async def test_a_sqlite_file_is_not_copied_onto_itself(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another driver in the URL, a path from here, a symbolic link: it stays the same file."""
    file = Path(sqlite_url.partition(":///")[2])
    (tmp_path / "link.db").symlink_to(file)
    monkeypatch.chdir(file.parent)
    for spelling in (
        sqlite_url,
        f"sqlite+aiosqlite:///{file}",
        f"sqlite:///{file.name}",
        f"sqlite:///{tmp_path}/link.db",
    ):
        with pytest.raises(CopyFailed) as failed:
            copy_database(sqlite_url, spelling)
        assert failed.value.code == "same_database", spelling


async def test_a_postgresql_database_is_not_copied_onto_itself(postgres_url: str) -> None:
    """The bot's driver in the URL, an option more, another way to the server: it stays the same database."""
    _, _, rest = postgres_url.partition("://")
    mark = "&" if "?" in rest else "?"
    ways = [f"postgres://{rest}", f"postgresql+asyncpg://{rest}", f"postgresql://{rest}{mark}application_name=copy"]
    for spelling in ways:
        with pytest.raises(CopyFailed) as failed:
            copy_database(postgres_url, spelling)
        assert failed.value.code == "same_database", spelling


async def test_two_databases_of_one_server_are_two(postgres_url: str) -> None:
    """What tells databases apart is more than their server."""
    neighbour = with_database(postgres_url, "postgres")
    assert module._identity(postgres_url) != module._identity(neighbour)
    assert module._identity(postgres_url) == module._identity(postgres_url)


async def test_a_target_out_of_reach_says_so(sqlite_url: str, postgres_url: str) -> None:
    """A missing database is the operator's to make; nothing has happened."""
    with pytest.raises(DatabaseUnavailable):
        copy_database(sqlite_url, with_database(postgres_url, "no_such_database"))


async def test_an_empty_database_moves(sqlite_url: str, postgres_url: str) -> None:
    """Nothing to copy is no error."""
    migrate(sqlite_url)
    copied = copy_database(sqlite_url, postgres_url)
    assert copied["webhook_deliveries"] == copied["webhook_notifications"] == 0
