"""fal's webhook and our own look bring one end within one second: one change, one message."""

import hashlib

import pytest

from app.db import inbox
from app.db.trainings import BotTables
from app.domain.look import GRACE, Unsaid
from app.fal.payload import FalAnswer
from app.flows.ask import ENTERED
from tests.factories import Bot, delivery, error_body, ok_body, result_answer
from tests.fakes import FrozenClock, kinds
from tests.flows.asking import COMPLETED, PORTRAIT, REFUSED, Desk, desk_of
from tests.flows.conftest import House

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(house: House, bot_tables: BotTables, bot: Bot, clock: FrozenClock) -> Desk:
    """Let fal say COMPLETED of r1, and have its grace run out."""
    desk = desk_of(house.database, bot_tables, bot, clock)
    desk.fal.said["status", PORTRAIT] = COMPLETED
    desk.fal.said["result", PORTRAIT] = result_answer(ok_body("r1"))
    await desk.train("r1")
    await desk.reconcile()
    clock.move(GRACE.total_seconds())
    return desk


async def settle(house: House) -> None:
    while await house.apply():
        pass
    house.clock.move(1)
    await house.tell()


@pytest.mark.parametrize("first", ["webhook", "look"])
@pytest.mark.parametrize("applied_between", [False, True])
async def test_one_change_and_one_message(house: House, desk: Desk, *, first: str, applied_between: bool) -> None:
    """Whichever is stored first, and whether or not it was applied when the other came."""
    webhook = delivery("r1", ok_body("r1", timings={"inference": 7.5}), desk.clock.at)
    if first == "webhook":
        # The look is under way already: it has asked, and the webhook is stored before it records what it found.
        plain = desk.fal.result

        async def result(endpoint: str, request_id: str, url: str | None = None) -> FalAnswer | Unsaid:
            await house.database.write(inbox.put, [(webhook, desk.clock.at)])
            if applied_between:
                await house.apply()
            return await plain(endpoint, request_id, url)

        desk.fal.result = result  # type: ignore[method-assign]
        await desk.reconcile()
    else:
        await desk.reconcile()
        if applied_between:
            await house.apply()
        desk.clock.move(1)
        await house.database.write(inbox.put, [(webhook, desk.clock.at)])
    await settle(house)
    rows = await house.rows()
    assert {row["state"] for row in rows} == {"done"}
    assert sorted(row["source"] for row in rows) in (["reconcile", "webhook"], ["webhook"])
    assert sorted(row["reason"] for row in rows) == ["already_completed", "completed"][-len(rows) :]
    assert kinds(house.messenger.sent) == ["ready"]
    job = await desk.job()
    assert (job["state"], job["outcome"]) == ("done", "completed")
    desk.clock.move(ENTERED.total_seconds() * 2)
    assert await desk.reconcile() == 0


async def test_two_failures_of_one_training_are_told_once(house: House, desk: Desk) -> None:
    """What the webhook says of a failure and what the result says of it are told as one."""
    desk.fal.said["result", PORTRAIT] = REFUSED
    await desk.reconcile()
    body = error_body("r1", [{"loc": ["body"], "msg": "no face found", "type": "face_detection_error"}])
    assert hashlib.sha256(body).hexdigest() not in {row["body_sha256"] for row in await house.rows()}
    await house.deliver("r1", body)
    await settle(house)
    assert [row["state"] for row in await house.rows()] == ["done", "done"]
    assert kinds(house.messenger.sent) == ["failed"]
