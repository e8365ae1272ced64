"""The totals are those of the rows: after any history, and again after somebody changed rows without counting."""

import random
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from app.db import totals
from app.db.engine import Database
from app.db.operator_queries import CHANGEABLE
from app.db.tables import deliveries
from app.domain.send_outcome import Down, NoToken, Rejected, Sent, SlowDown, TokenRefused, Uncertain, Unreachable
from app.flows.operate import Operation, operate
from app.flows.recount import EVERY, Recount
from tests.factories import LORA, Bot, delivery, empty_ok_body, error_body, ok_body
from tests.fakes import FrozenClock
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio

OUTCOMES = (
    Sent(1, 1), Unreachable("403", blocked=True), Rejected("400"), SlowDown(30), Uncertain("no answer"), Down("502"),
    TokenRefused("401"), NoToken("words"),
)  # fmt: skip


async def wrong(database: Database) -> dict[str, int]:
    found: dict[str, int] = {}
    for queue in totals.STATES:
        found |= await database.read(totals.differences, queue)
    return found


@pytest.mark.parametrize(
    ("database_url", "seed"), [*(("sqlite", seed) for seed in range(3)), ("postgresql", 3)], indirect=["database_url"]
)
async def test_they_are_right_after_any_history(house: House, bot: Bot, seed: int) -> None:
    """Deliveries, repeats, orphans, failures, sends of every outcome, an operator's hand: nothing goes uncounted."""
    chance = random.Random(seed)
    ids = [f"r{number}" for number in range(8)]
    for request_id in ids[:6]:
        await bot.train(request_id, telegram_id=None if chance.random() < 0.8 else f"none {request_id}")
    bodies: list[Callable[[str], bytes]] = [ok_body, error_body, empty_ok_body, lambda _: b"junk"]
    bodies.append(lambda request_id: ok_body(request_id, lora=f"{LORA}?other"))

    async def deliver() -> None:
        request_id = chance.choice(ids)
        await house.deliver(request_id, chance.choice(bodies)(request_id))

    async def tell() -> None:
        house.messenger.outcomes[:] = chance.choices(OUTCOMES, k=4)
        await house.tell()

    async def decide() -> None:
        queue, operation = chance.choice(CHANGEABLE), chance.choice(list(Operation))
        await operate(
            house.database, house.clock, queue, operation, ids=chance.choices(range(1, 20), k=4), who="tester"
        )

    async def wait() -> None:
        house.clock.move(chance.choice([1, 40, 4000, 90_000]))

    steps: list[Callable[[], Awaitable[object]]] = [deliver, deliver, house.apply, tell, decide, wait]
    for number in range(60):
        step = chance.choice(steps)
        await step()
        assert await wrong(house.database) == {}, f"seed {seed}, step {number}: {step.__name__}"


async def test_what_an_older_server_changed_is_put_right(database: Database, clock: FrozenClock) -> None:
    """The chore finds it within the hour, says by how much in the log, and says nothing when all is right."""
    recount = Recount(database, clock)
    assert await recount() == 0
    with database.engine.begin() as transaction:
        from_0_2 = {"state": "done", "due_at": clock.at, "headers": "{}", "source": "webhook", "received_at": clock.at}
        row = delivery("r1")._asdict()
        moments = {"stored_at": clock.at, "last_received_at": clock.at}
        names = ("request_id", "body", "body_sha256")
        transaction.execute(deliveries.insert().values(**from_0_2, **moments, **{name: row[name] for name in names}))
    clock.move(EVERY.total_seconds() - 1)
    assert await recount() == 0
    clock.move(1)
    with capture_logs() as lines:
        assert await recount() == 1
    assert lines == [{"event": "totals.corrected", "log_level": "warning", "differences": {"deliveries.done": 1}}]
    assert await wrong(database) == {}


async def test_one_replica_counts(database: Database, clock: FrozenClock) -> None:
    """A second one finds the chore done: a correction is added once."""
    await database.write(totals.add, {"deliveries.dead": 7})
    counted = [await Recount(database, clock)() for _ in range(2)]
    assert sorted(counted) == [0, 1]
    assert await wrong(database) == {}


async def test_a_commit_between_count_and_correction_is_kept(house: House, clock: FrozenClock) -> None:
    """What moves after the count moves its totals, too: the correction is a difference and overwrites nothing."""
    await house.deliver("r1")
    with house.database.engine.begin() as transaction:
        transaction.execute(update(deliveries).values(repeats=3))
    short = await house.database.read(totals.differences, deliveries)
    await house.deliver("r2")
    await house.database.write(totals.add, short)
    assert await wrong(house.database) == {}
