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
    is_given = or_(avatars.c.diffusers_lora_file_url.is_not(None), avatars.c.finetune_id.is_not(None))
    return len(_find(connection, avatars, invented, joined, [_OPEN, is_given]))


def find_invented(connection: Connection, bot_tables: BotTables, invented: Invented) -> list[str]:
    """List the request id of every row that holds an invented artifact, '' where it has none. Reads the whole table."""
    avatars = bot_tables.avatars
    columns = avatars.c
    marked = [func.lower(columns.diffusers_lora_file_url).contains(host, autoescape=True) for host in invented.hosts]
    marked += [func.lower(columns.finetune_id).startswith(prefix, autoescape=True) for prefix in invented.prefixes]
    return _find(connection, avatars, invented, avatars, [or_(*marked)]) if marked else []


def find_set_back(connection: Connection, bot_tables: BotTables) -> list[str]:
    """List the request ids whose rows stand at `training` although their job has ended. Reads the whole table."""
    columns = bot_tables.avatars.c
    ended = exists().where(
        jobs.c.request_id == columns.fal_request_id,
        jobs.c.state == JobState.DONE,
        jobs.c.outcome.in_([JobOutcome.COMPLETED, JobOutcome.FAILED]),
    )
    at_training = func.lower(cast(columns.status, Text)) == TrainingStatus.TRAINING.value
    statement = select(columns.fal_request_id).where(at_training, ended).order_by(columns.fal_request_id)
    return list(connection.execute(statement).scalars())


def _find(
    connection: Connection,
    avatars: Table,
    invented: Invented,
    source: FromClause,
    where: Sequence[ColumnElement[bool] | TextClause],
) -> list[str]:
    columns = avatars.c
    shown = (columns.fal_request_id, columns.diffusers_lora_file_url, columns.config_file_url, columns.finetune_id)
    found = []
    for request_id, lora, config, finetune_id in connection.execute(select(*shown).select_from(source).where(*where)):
        artifacts = Artifacts(lora_url=lora, config_url=config, finetune_id=finetune_id)
        if invented.real(artifacts) != artifacts:
            found.append(request_id or "")
    return sorted(found)
