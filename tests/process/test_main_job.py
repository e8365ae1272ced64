"""The main job on real input: signed deliveries over TLS, a database, one message each."""

from collections import Counter

import pytest
from sqlalchemy import select, text

from app.db.engine import Connection, Database
from app.db.tables import deliveries
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from tests.factories import Bot
from tests.process.conftest import Outside, StartServer

pytestmark = pytest.mark.anyio

MANY = 1_000
CONNECTIONS = 64
HEARD_WITHIN = 90  # s on a slow and busy machine


def count(connection: Connection, statement: str) -> int:
    return int(connection.execute(text(statement)).scalar_one())


async def test_a_thousand_deliveries_complete_a_thousand_avatars_and_tell_a_thousand_owners_once(
    database_url: str, database: Database, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """Each is answered 200, stored, applied and told once; the same again changes nothing."""
    jobs = [bodies.job_id(number) for number in range(MANY)]
    await bot.train_many(jobs)
    pairs = [(job, bodies.success(job)) for job in jobs]
    async with (
        start_server(database_url) as server,
        FalSender(
            server.url + PATH, outside.fal.key, user_id=ACCOUNT, verify_tls=False, connections=CONNECTIONS
        ) as fal,
    ):
        for round_number in (1, 2):
            records = await fal.deliver_all(pairs, at_once=CONNECTIONS)
            assert Counter(status for record in records for status in record.statuses) == {200: MANY}
            await outside.telegram.heard(MANY, within=HEARD_WITHIN)
            assert await server.stop() == 0 if round_number == 2 else True
    with database.engine.connect().execution_options(write=False) as connection:
        found = connection.execute(select(deliveries.c.request_id, deliveries.c.body))
        stored = {row.request_id: row.body for row in found}
        assert stored == dict(pairs)
        assert count(connection, "SELECT count(*) FROM webhook_deliveries WHERE state = 'done'") == MANY
        assert count(connection, "SELECT sum(repeats) FROM webhook_deliveries") == MANY
        assert count(connection, "SELECT count(*) FROM avatars WHERE status = 'completed'") == MANY
        assert count(connection, "SELECT count(*) FROM webhook_notifications WHERE state = 'sent'") == MANY
    chats = Counter(message.chat_id for message in outside.telegram.messages)
    assert len(chats) == MANY
    assert set(chats.values()) == {1}
    assert server.log().count('"event":"notification.told"') == MANY


async def test_what_was_acknowledged_survives_a_kill(
    database_url: str, bot: Bot, outside: Outside, start_server: StartServer
) -> None:
    """After kill -9 the next start finishes what the first one had only stored (fault 1)."""
    job = bodies.job_id(1)
    lease = {"LEASE_SECONDS": "15"}  # the kill may come while the row is claimed
    async with start_server(database_url, **lease) as server:
        async with FalSender(server.url + PATH, outside.fal.key, user_id=ACCOUNT, verify_tls=False) as fal:
            assert (await fal.post(job, bodies.success(job))).status == 200
        await server.stop(9)
    avatar_id = await bot.train(job)
    async with start_server(database_url, **lease):
        await outside.telegram.heard(1, within=HEARD_WITHIN)
    assert (await bot.avatar(avatar_id))["word"] == "completed"
    assert len(outside.telegram.messages) == 1
