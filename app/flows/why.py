"""One request id → everything on record of it → its story."""

from functools import partial

from app.db.engine import Database
from app.db.story import read_story
from app.db.trainings import BotTables
from app.domain.explain import explain
from app.domain.invented import Invented
from app.domain.story import Story
from app.flows.ports import Clock


async def why(
    database: Database, bot_tables: BotTables, clock: Clock, request_id: str, *, invented: Invented, has_token: bool
) -> Story:
    """Tell why a job stands where it stands; changes nothing. Raises DatabaseUnavailable."""
    # A reader of PostgreSQL's has no transaction around its statements, and the rows must be of one moment.
    transact = database.read if database.is_sqlite else database.write
    now = clock.now()
    read = partial(read_story, has_token=has_token, now=now)
    return explain(await transact(read, bot_tables, invented, request_id), now)
