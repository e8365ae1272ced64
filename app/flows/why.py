"""One request id → everything on record of it → its story."""

from functools import partial

from app.db.engine import Database
from app.db.story import read_story
from app.db.trainings import BotTables
from app.domain.explain import explain
from app.domain.story import Story
from app.flows.ports import Clock


async def why(database: Database, bot_tables: BotTables, clock: Clock, request_id: str, *, has_token: bool) -> Story:
    """Tell why a job stands where it stands; changes nothing. Raises DatabaseUnavailable."""
    # A reader of PostgreSQL's has no transaction around its statements, and the rows must be of one moment.
    transact = database.read if database.is_sqlite else database.write
    facts = await transact(partial(read_story, has_token=has_token), bot_tables, request_id)
    return explain(facts, clock.now())
