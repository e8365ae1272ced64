"""No webhook ever comes: what fal made is fetched, by the real server, and told once."""

import asyncio
import time
from collections import Counter

import pytest
from sqlalchemy import text

from app.db.engine import Connection, Database
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.fal_queue import FalJob
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from tests.factories import Bot
from tests.process.conftest import Outside, StartServer

pytestmark = pytest.mark.anyio

MANY = 500
HEARD_WITHIN = 200  # s on a slow and busy machine; fal is asked at most 25 times a second
SOON = {"RECONCILE_AFTER": "1", "RECONCILE_EVERY": "1"}


def outcome_of(number: int) -> str:
    """Every kind of end in turn."""
    return ("success", "refused", "success", "cancelled", "success")[number % 5]


def job_of(number: int, request_id: str) -> FalJob:
    match outcome_of(number):
        case "success":
            return FalJob(body=bodies.dumps(bodies.portrait(request_id)))
        case "refused":
            return FalJob(status_code=422, body=bodies.dumps(bodies.complaint("face_detection_error")))
        case _:
            cancelled = {"detail": "Request was cancelled", "error_type": "client_cancelled"}
            return FalJob(status_code=499, body=bodies.dumps(cancelled))


def statuses(connection: Connection) -> dict[str, int]:
    rows = connection.execute(text("SELECT status, count(*) FROM avatars GROUP BY status"))
    return {str(status): int(number) for status, number in rows}


async def test_five_hundred_trainings_end_rightly_without_a_webhook(
    database_url: str, database: Database, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """Successes, failures and cancellations all end as they did at fal, and each owner hears of it once."""
    jobs = [bodies.job_id(number) for number in range(MANY)]
    await bot.train_many(jobs)
    for number, request_id in enumerate(jobs):
        outside.fal.jobs[request_id] = job_of(number, request_id)
    async with start_server(database_url, **SOON):
        await outside.telegram.heard(MANY, within=HEARD_WITHIN)
    wanted = Counter("completed" if outcome_of(number) == "success" else "error" for number in range(MANY))
    assert await database.read(statuses) == wanted
    chats = Counter(message.chat_id for message in outside.telegram.messages)
    assert (len(chats), set(chats.values())) == (MANY, {1})
    results = Counter(call.request_id for call in outside.fal.calls if call.name == "result")
    assert set(results.values()) == {1}


async def test_what_fal_forgets_is_told(
    database_url: str, database: Database, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """Known to fal at the first look and forgotten afterwards: the owner hears that the result is gone (fault 56)."""
    job = bodies.job_id(1)
    await bot.train(job)
    outside.fal.jobs[job] = FalJob(state="IN_PROGRESS", is_listed=False)
    async with start_server(database_url, **SOON):
        async with asyncio.timeout(30):
            while not outside.fal.asked(job)["status"]:  # noqa: ASYNC110  the twin tells nobody when it is asked
                await asyncio.sleep(0.05)
        del outside.fal.jobs[job]
        await outside.telegram.heard(1, within=60)
    assert await database.read(statuses) == {"error": 1}
    [message] = outside.telegram.messages
    assert "не успели получить результат" in message.text


async def test_with_webhooks_fal_is_asked_for_no_result(
    database_url: str, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """A hundred jobs are seen at work, then their webhooks come: no result is fetched, no job asked about too often."""
    jobs = [bodies.job_id(number) for number in range(100)]
    await bot.train_many(jobs)
    for request_id in jobs:
        outside.fal.jobs[request_id] = FalJob(state="IN_PROGRESS")
    async with start_server(database_url, **SOON) as server:
        began = time.monotonic()
        async with asyncio.timeout(60):
            while any(not outside.fal.asked(job)["status"] for job in jobs):  # noqa: ASYNC110  as above
                await asyncio.sleep(0.05)
        async with FalSender(server.url + PATH, outside.fal.key, user_id=ACCOUNT, verify_tls=False) as fal:
            for request_id in jobs:
                outside.fal.succeed(request_id)
                assert (await fal.post(request_id, bodies.success(request_id))).status == 200
        await outside.telegram.heard(len(jobs), within=60)
        lasted = time.monotonic() - began
        asked = [outside.fal.asked(job) for job in jobs]
    assert sum(one["result"] for one in asked) == 0
    assert max(one["status"] for one in asked) <= lasted + 1
