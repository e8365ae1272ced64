"""What Telegram said is written down whatever the bot's own table does."""

from collections.abc import Iterator

import psycopg
import pytest
from structlog.testing import capture_logs

from app.db.engine import Database
from app.domain.send_outcome import SlowDown, Unreachable
from tests.factories import Bot
from tests.flows.conftest import House
from tests.flows.test_notify import owe

pytestmark = pytest.mark.anyio

NO = "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$"
CALL = "EXECUTE FUNCTION no()"
REFUSALS = {
    "a trigger": (
        "CREATE TRIGGER no BEFORE UPDATE ON users BEGIN SELECT RAISE(ABORT, 'no'); END",
        f"{NO}; CREATE TRIGGER no BEFORE UPDATE ON users FOR EACH ROW {CALL}",
    ),
    "the whole transaction": (
        "CREATE TRIGGER no BEFORE UPDATE ON users BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
        f"{NO}; CREATE CONSTRAINT TRIGGER no AFTER UPDATE ON users INITIALLY DEFERRED FOR EACH ROW {CALL}",
    ),
    "a column that is gone": ("ALTER TABLE users RENAME is_blocked TO gone",) * 2,
}
SENT = "CREATE TRIGGER no BEFORE UPDATE ON webhook_notifications {} WHEN (NEW.state = 'sent') {}"
NEVER_SENT = (
    SENT.format("", "BEGIN SELECT RAISE(ABORT, 'no'); END"),
    f"{NO}; {SENT.format('FOR EACH ROW', CALL)}",
)


@pytest.fixture
def _mended(database_url: str) -> Iterator[None]:
    """PostgreSQL's database is shared by the tests of a session."""
    yield
    if database_url.startswith("sqlite"):
        return
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP FUNCTION IF EXISTS no() CASCADE")
        if connection.execute(
            "SELECT 1 FROM information_schema.columns WHERE table_name = 'users' AND column_name = 'gone'"
        ).fetchone():
            connection.execute("ALTER TABLE users RENAME gone TO is_blocked")


async def break_it(database: Database, spellings: tuple[str, ...]) -> None:
    with database.engine.begin() as transaction:
        transaction.exec_driver_sql(spellings[0 if database.is_sqlite else 1])


@pytest.mark.usefixtures("_mended")
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_message_is_told_once_though_the_owner_s_row_refuses(house: House, bot: Bot, refusal: str) -> None:
    """`is_blocked` cannot be written: the message counts as sent all the same, and the log says what was not done."""
    await owe(house, bot, blocked=True)
    await break_it(house.database, REFUSALS[refusal])
    with capture_logs() as logs:
        await house.tell()
    house.clock.move(3600)
    assert await house.tell() == 0
    [row] = await house.messages()
    assert (row["state"], row["uncertain"], len(house.messenger.sent)) == ("sent", 0, 1)
    assert [entry["event"] for entry in logs].count("owner.blocked_not_written") == 1


@pytest.mark.usefixtures("_mended")
async def test_one_refused_row_costs_no_pause(house: House, bot: Bot) -> None:
    """What must rest does so, though the owner's row in the same commit refuses (fault 42)."""
    await owe(house, bot, "r1", "42")
    await owe(house, bot, "r2", "43")
    await break_it(house.database, REFUSALS["a trigger"])
    house.messenger.outcomes = [Unreachable("bot was blocked by the user", blocked=True), SlowDown(30)]
    await house.tell()
    house.clock.move(20)
    assert await house.tell() == 0
    assert [row["reason"] for row in await house.messages()] == ["owner_unreachable", "slow_down"]


async def test_a_row_that_the_bot_holds_is_not_waited_for(house: House, bot: Bot, database_url: str) -> None:
    """The bot keeps the owner's row locked: what was sent is recorded meanwhile."""
    if house.database.is_sqlite:
        pytest.skip("SQLite locks the whole file, which is no matter of one row")
    await owe(house, bot, blocked=True)
    with psycopg.connect(database_url) as other:
        other.execute("SELECT * FROM users FOR UPDATE")
        await house.tell()
        assert [row["state"] for row in await house.messages()] == ["sent"]


@pytest.mark.usefixtures("_mended")
async def test_what_can_never_be_recorded_is_sent_once(house: House, bot: Bot) -> None:
    """A database that refuses the record itself: nothing is sent again, and in the end the operator has it (I3)."""
    await owe(house, bot)
    await break_it(house.database, NEVER_SENT)
    with capture_logs() as logs:
        for _ in range(6):
            await house.tell()
            house.clock.move(61)
    [row] = await house.messages()
    assert (row["state"], row["reason"], row["uncertain"]) == ("dead", "outcome_unknown", 5)
    assert len(house.messenger.sent) == 1
    assert [entry["event"] for entry in logs].count("notification.not_recorded") == 5
    assert "notification.buried" in [entry["event"] for entry in logs]
