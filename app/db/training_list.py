"""Trainings as an operator sees them: our job beside the bot's row."""

from typing import Any

from sqlalchemy import String, Text, cast, select
from sqlalchemy.engine import Connection

from app.db.plain_rows import plain_rows
from app.db.tables import jobs
from app.db.trainings import BotTables
from app.domain.job import JobKind, JobOutcome, JobState


def list_trainings(
    connection: Connection, bot_tables: BotTables, *, photos_left: bool, limit: int
) -> list[dict[str, Any]]:
    """List trainings, newest first; with `photos_left` those that this server completed.

    The bot deletes an owner's photos only where it completes a training itself (docs/bot-database.md), so theirs still
    lie in its storage, unless somebody deleted them by hand.
    """
    avatars = bot_tables.avatars
    statement = (
        select(
            jobs.c.request_id,
            jobs.c.subject,
            avatars.c.name,
            cast(avatars.c.user_id, String).label("owner"),
            cast(avatars.c.status, Text).label("status"),
            jobs.c.stage,
            jobs.c.outcome,
            jobs.c.first_seen_at,
            jobs.c.finished_at,
        )
        .select_from(jobs.outerjoin(avatars, avatars.c.fal_request_id == jobs.c.request_id))
        .where(jobs.c.kind == JobKind.TRAINING)
        .order_by(jobs.c.id.desc())
        .limit(limit)
    )
    if photos_left:
        statement = statement.where(
            jobs.c.state == JobState.DONE,
            jobs.c.outcome == JobOutcome.COMPLETED,
            jobs.c.delivery_id.is_not(None),
            avatars.c.id.is_not(None),
        )
    return plain_rows(connection, statement)
