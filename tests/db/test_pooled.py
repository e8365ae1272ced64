"""Behind a real PgBouncer, whatever its mode: what works as without it, and what others must not feel (fault 58)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.db import chores
from app.db.backup import back_up
from app.db.engine import Connection, Database, open_database
from app.db.pooler import connect_loose, is_shared
from app.db.session import is_pooled
from app.db.wake import WakeTopic, announce, listen
from app.domain.errors import BackupFailed
from tests.fakes import START
from tests.pgbouncer import start_pgbouncer

pytestmark = pytest.mark.anyio

WITHIN = 10  # s on a busy machine
SETTINGS = ("DateStyle", "TimeZone", "IntervalStyle", "statement_timeout", "search_path")


@pytest.fixture(params=["session", "transaction"])
def pooled_url(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[str]:
    with start_pgbouncer(postgres_url, request.param) as url:
        yield url


@pytest.fixture
async def pooled(pooled_url: str) -> AsyncIterator[Database]:
    database = open_database(pooled_url)
    yield database
    await database.close()


def seen(connection: Connection) -> dict[str, str]:
    return {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in SETTINGS}


async def test_each_transaction_has_our_settings(pooled: Database) -> None:
    """Reads, writes and single statements alike."""
    for run in (pooled.read, pooled.write, pooled.statement):
        found = await run(seen)
        assert found["DateStyle"] == "ISO, YMD"
        assert found["TimeZone"] == "UTC"
        assert found["statement_timeout"] == "8s"


async def test_nothing_of_ours_stays_on_a_session(pooled: Database, pooled_url: str) -> None:
    """Others get it as the server made it, and without a prepared statement."""
    with psycopg.connect(pooled_url, prepare_threshold=None) as other:
        before = [other.execute(f"SHOW {name}").fetchone() for name in SETTINGS]
    for number in range(40):
        await asyncio.gather(*(pooled.write(chores.touch, f"n{number}-{each}", START) for each in range(4)))
    with psycopg.connect(pooled_url, prepare_threshold=None) as other:
        assert [other.execute(f"SHOW {name}").fetchone() for name in SETTINGS] == before
        assert other.execute("SELECT count(*) FROM pg_prepared_statements").fetchone() == (0,)
        assert other.execute("SELECT count(*) FROM webhook_chores").fetchone() == (160,)


async def test_a_transaction_that_raises_is_undone(pooled: Database) -> None:
    """BEGIN is ours there, ROLLBACK is still the driver's."""

    def write(connection: Connection) -> None:
        assert is_pooled(connection)
        chores.touch(connection, "undone", START)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await pooled.write(write)
    count = text("SELECT count(*) FROM webhook_chores")
    assert await pooled.read(lambda connection: connection.execute(count).scalar_one()) == 0


async def test_the_url_s_settings_hold_although_pgbouncer_refuses_them(pooled_url: str) -> None:
    """A search_path in the URL comes with each transaction."""
    database = open_database(f"{pooled_url}?options=-csearch_path%3Dpublic%2Cpg_catalog")
    try:
        assert (await database.read(seen))["search_path"] == "public,pg_catalog"
        assert (await database.write(seen))["search_path"] == "public,pg_catalog"
    finally:
        await database.close()


@pytest.mark.parametrize(
    ("mode", "options", "shared"),
    [
        ("session", {}, False),
        ("session", {"default_pool_size": 1}, False),
        ("session", {"server_round_robin": 1}, False),
        ("transaction", {}, True),
        ("transaction", {"default_pool_size": 1}, True),
        ("transaction", {"server_round_robin": 1}, True),
        ("transaction", {"min_pool_size": 5, "server_round_robin": 1}, True),
    ],
)
async def test_a_shared_session_is_known(
    postgres_url: str, mode: str, options: dict[str, object], shared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether announcements arrive is known from a look, which leaves nothing on the session."""
    monkeypatch.setattr("app.db.pooler.PATIENCE", 1.0)
    with start_pgbouncer(postgres_url, mode, **options) as url:
        async with await connect_loose(url, "test") as connection:
            assert await is_shared(connection, lambda: connect_loose(url, "test")) is shared


async def test_postgresql_itself_shares_nothing(postgres_url: str) -> None:
    """No second connection is made for that."""

    async def refuse() -> psycopg.AsyncConnection:
        raise AssertionError

    async with await connect_loose(postgres_url, "test") as connection:
        assert await is_shared(connection, refuse) is False


@dataclass
class Ears:
    """What was heard, in order."""

    heard: asyncio.Queue[WakeTopic] = field(default_factory=asyncio.Queue)

    def topics(self) -> dict[WakeTopic, Callable[[], None]]:
        return {topic: partial(self.heard.put_nowait, topic) for topic in WakeTopic}

    async def until(self, *topics: WakeTopic) -> None:
        async with asyncio.timeout(WITHIN):
            assert [await self.heard.get() for _ in topics] == list(topics)


async def test_announcements_arrive_in_session_mode(postgres_url: str) -> None:
    """A session is one client's own there, so listening works as without a pooler."""
    ears = Ears()
    with start_pgbouncer(postgres_url, "session") as url:
        task = asyncio.create_task(listen(url, ears.topics()))
        database = open_database(url)
        try:
            await ears.until(*WakeTopic)
            await database.write(announce, WakeTopic.OUTBOX)
            await ears.until(WakeTopic.OUTBOX)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await database.close()


async def test_in_transaction_mode_nobody_listens(postgres_url: str) -> None:
    """One warning says so, and what is due is found by looking; nothing is left listening on a shared session."""
    with start_pgbouncer(postgres_url, "transaction") as url, capture_logs() as logs:
        async with asyncio.timeout(WITHIN):
            await listen(url, Ears().topics())
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as other:
            assert other.execute("SELECT * FROM pg_listening_channels()").fetchall() == []
    assert [(each["event"], each["log_level"]) for each in logs] == [("wake.polling", "warning")]


def test_a_backup_leaves_a_shared_session_alone(postgres_url: str, tmp_path: Path, pg_dump: Path) -> None:
    """pg_dump empties the search_path of its session: in transaction mode it is not run, in session mode it is."""
    with (
        start_pgbouncer(postgres_url, "transaction") as url,
        pytest.raises(BackupFailed, match=r"transaction mode.*port 5432"),
    ):
        back_up(url, tmp_path, START)
    with start_pgbouncer(postgres_url, "session") as url:
        assert back_up(url, tmp_path, START).exists()
