"""The main job behind PgBouncer, on a database with foreign settings (fault 58)."""

from collections import Counter

import psycopg
import pytest

from app.db.engine import open_database
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from tests.factories import Bot
from tests.foreign import Foreign
from tests.pgbouncer import start_pgbouncer
from tests.process.conftest import Outside, StartServer

pytestmark = pytest.mark.anyio

MANY = 200
HEARD_WITHIN = 90  # s on a slow and busy machine
FOREIGN = ("datestyle = 'SQL, DMY'", "timezone = 'Asia/Almaty'", "standard_conforming_strings = off")


@pytest.mark.parametrize("mode", ["session", "transaction"])
async def test_everything_is_applied_and_told_once(
    migrated: Foreign, outside: Outside, start_server: StartServer, mode: str
) -> None:
    """Each delivery is answered 200, no step fails, and in transaction mode one warning speaks of polling."""
    migrated.run(*(f"ALTER DATABASE {migrated.database} SET {setting}" for setting in FOREIGN))
    direct = open_database(migrated.url)
    await Bot(direct).train_many([bodies.job_id(number) for number in range(MANY)])
    pairs = [(bodies.job_id(number), bodies.success(bodies.job_id(number))) for number in range(MANY)]
    with start_pgbouncer(migrated.url, mode) as url:
        async with (
            start_server(url) as server,
            FalSender(server.url + PATH, outside.fal.key, user_id=ACCOUNT, verify_tls=False, connections=16) as fal,
        ):
            records = await fal.deliver_all(pairs, at_once=16)
            assert Counter(status for record in records for status in record.statuses) == {200: MANY}
            await outside.telegram.heard(MANY, within=HEARD_WITHIN)
            assert await server.stop() == 0
    with psycopg.connect(migrated.url) as connection:
        done = connection.execute("SELECT count(*) FROM webhook_deliveries WHERE state = 'done'").fetchone()
    await direct.close()
    assert done == (MANY,)
    log = server.log("api_server.log") + server.log()
    assert '"level":"error"' not in log
    assert "worker." not in log
    assert log.count('"event":"wake.polling"') == (mode == "transaction")
