"""Avatars whose training is begun here: looked at before the submission, written when fal has taken it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Text, cast, func, select, update
from sqlalchemy.engine import Connection

from app.db.bot_values import fit_key, fit_moment, read_status, read_trainer, spell_status
from app.db.trainings import TRIGGERS, BotTables
from app.domain.trainer import Trainer
from app.domain.training import TrainingStatus

BEGUN = (
    "fal_request_id",
    "status",
    "training_progress",
    "training_error",
    "training_started_at",
    "training_completed_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An avatar as it stands. `request_id` is that of its last training, if any."""

    trainer: Trainer | None
    spelling: str
    request_id: str | None

    @property
    def is_at_work(self) -> bool:
        """Tell whether fal works on it; a row that the bot has set to training without a request id waits for one."""
        return read_status(self.spelling) is TrainingStatus.TRAINING and bool(self.request_id)


def find_candidate(connection: Connection, tables: BotTables, avatar_id: str) -> Candidate | None:
    """Load an avatar and keep its row from changing until the transaction ends; None where there is none."""
    columns = tables.avatars.c
    try:
        key = fit_key(columns.id, avatar_id)
    except ValueError:
        return None
    statement = (
        select(columns.training_type, cast(columns.status, Text), columns.fal_request_id)
        .where(columns.id == key)
        .with_for_update(key_share=True)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Candidate(read_trainer(row[0]), str(row[1]), row[2])


def unwritable(connection: Connection, tables: BotTables) -> list[str]:
    """Name the avatars' columns that `write_begun` writes and this role may not; SQLite has no rights to lack."""
    if connection.dialect.name == "sqlite":
        return []
    names = [*BEGUN, *(name for name in TRIGGERS if name in tables.avatars.c)]
    rights = [func.has_column_privilege("avatars", name, "UPDATE") for name in names]
    allowed = connection.execute(select(*rights)).one()
    return [name for name, may in zip(names, allowed, strict=True) if not may]


def write_begun(
    connection: Connection, tables: BotTables, avatar_id: str, request_id: str, *, trigger: str | None, now: datetime
) -> bool:
    """Write that fal works on an avatar; False where there is none, or fal works on another request of it already."""
    found = find_candidate(connection, tables, avatar_id)
    if found is None or (found.is_at_work and found.request_id != request_id):
        return False
    columns = tables.avatars.c
    values: dict[str, Any] = {
        "fal_request_id": request_id,
        "status": spell_status(found.spelling, TrainingStatus.TRAINING),
        "training_progress": 0,
        "training_error": None,
        "training_started_at": fit_moment(columns.training_started_at, now),
        "training_completed_at": None,
        "updated_at": fit_moment(columns.updated_at, now),
    }
    values |= {name: trigger for name in TRIGGERS if trigger is not None and name in columns}
    connection.execute(update(tables.avatars).where(columns.id == fit_key(columns.id, avatar_id)).values(**values))
    return True
