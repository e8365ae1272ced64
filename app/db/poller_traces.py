"""Traces of the bot's own pollers in its table: artifacts that nobody made, rows set back to `training`.

Facts: docs/bot-database.md.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, FromClause, Table, Text, TextClause, cast, exists, func, or_, select, text
from sqlalchemy.engine import Connection

from app.db.tables import jobs
from app.db.trainings import BotTables
from app.domain.invented import Invented
from app.domain.job import JobOutcome, JobState
from app.domain.training import Artifacts, TrainingStatus

_OPEN = text("webhook_jobs.state = 'pending'")


def count_invented_at_work(connection: Connection, bot_tables: BotTables, invented: Invented) -> int:
    """Count rows of open jobs that hold an invented artifact: while fal works there is none that anybody could know."""
    avatars = bot_tables.avatars
    joined = avatars.join(jobs, jobs.c.request_id == avatars.c.fal_request_id)
    return _count(connection, avatars, invented, joined, [_OPEN, _has_artifact(avatars)])


def count_invented(connection: Connection, bot_tables: BotTables, invented: Invented) -> int:
    """Count all rows that hold an invented artifact. Reads the whole table."""
    avatars = bot_tables.avatars
    columns = avatars.c
    marked = [func.lower(columns.diffusers_lora_file_url).contains(host, autoescape=True) for host in invented.hosts]
    marked += [func.lower(columns.finetune_id).startswith(prefix, autoescape=True) for prefix in invented.prefixes]
    return _count(connection, avatars, invented, avatars, [or_(*marked)]) if marked else 0


def count_set_back(connection: Connection, bot_tables: BotTables) -> int:
    """Count rows that stand at `training` although their job has ended."""
    avatars = bot_tables.avatars
    ended = exists().where(
        jobs.c.request_id == avatars.c.fal_request_id,
        jobs.c.state == JobState.DONE,
        jobs.c.outcome.in_([JobOutcome.COMPLETED, JobOutcome.FAILED]),
    )
    at_training = func.lower(cast(avatars.c.status, Text)) == TrainingStatus.TRAINING.value
    return connection.execute(select(func.count()).select_from(avatars).where(at_training, ended)).scalar_one()


def _has_artifact(avatars: Table) -> ColumnElement[bool]:
    return or_(avatars.c.diffusers_lora_file_url.is_not(None), avatars.c.finetune_id.is_not(None))


def _count(
    connection: Connection,
    avatars: Table,
    invented: Invented,
    source: FromClause,
    where: Sequence[ColumnElement[bool] | TextClause],
) -> int:
    columns = (avatars.c.diffusers_lora_file_url, avatars.c.config_file_url, avatars.c.finetune_id)
    rows = connection.execute(select(*columns).select_from(source).where(*where))
    found = (Artifacts(lora_url=lora, config_url=config, finetune_id=key) for lora, config, key in rows)
    return sum(invented.real(artifacts) != artifacts for artifacts in found)
