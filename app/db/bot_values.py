"""Values of the bot's columns, read and spelt. Which columns there are and what is written where: `trainings`."""

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Column, Row, Uuid
from sqlalchemy import DateTime as SqlDateTime

from app.domain.notification import Owner
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, Training, TrainingStatus

CHAT_ID_BITS = 52  # Bot API: chat ids have at most 52 significant bits
ERROR_MESSAGE, ERROR_TIMESTAMP = "error_message", "error_timestamp"  # keys of avatar_data: there the bot reads errors


def read_training(row: Row[*tuple[Any, ...]]) -> Training:
    """Read a row of `trainings.READ`, its owner's four columns and avatar_data as text."""
    key, request_id, name, trainer, status, lora_url, config_url, finetune_id, *owner, avatar_data = row
    owner_id, telegram_id, language, zone = owner
    spelling = str(status)
    return Training(
        avatar_id=str(key),
        request_id=request_id,
        name=name or "",
        trainer=read_trainer(trainer),
        status=read_status(spelling),
        spelling=spelling,
        artifacts=Artifacts(lora_url=lora_url, config_url=config_url, finetune_id=finetune_id),
        owner=Owner(str(owner_id or ""), read_chat_id(telegram_id), (language or "")[:16], (zone or "")[:32]),
        avatar_data=avatar_data,
    )


def read_trainer(raw: object) -> Trainer | None:
    """Read avatars.training_type without regard to case; None for a word that we do not know."""
    trainer: Trainer | None = _word(Trainer, str(raw))
    return trainer


def read_status(raw: object) -> TrainingStatus | None:
    """Read avatars.status without regard to case; None for a word that we do not know."""
    status: TrainingStatus | None = _word(TrainingStatus, str(raw))
    return status


@lru_cache(256)
def _word(vocabulary: type[Any], raw: str) -> Any:
    try:
        return vocabulary(raw.lower())
    except ValueError:
        return None


def read_chat_id(raw: object) -> int | None:
    """Parse users.telegram_id, which the bot keeps as text."""
    text = str(raw or "").strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 16:  # noqa: PLR2004  52 bits are at most 16 digits
        return None
    number = int(text)
    return number if number and abs(number) < 1 << CHAT_ID_BITS else None


def spell_status(spelling: str, status: TrainingStatus) -> str:
    """Spell a status as the row spells its own."""
    return status.value.upper() if spelling.isupper() else status.value


def fit_moment(column: Column[Any], at: datetime) -> datetime:
    """Fit a moment to a column with or without time zone; without, the bot means UTC."""
    return _in_utc(at, is_zoned=isinstance(column.type, SqlDateTime) and column.type.timezone)


@lru_cache(64)  # a batch has one moment
def _in_utc(at: datetime, *, is_zoned: bool) -> datetime:
    return at.astimezone(UTC) if is_zoned else at.astimezone(UTC).replace(tzinfo=None)


def fit_key(column: Column[Any], value: str) -> str | UUID:
    """Fit an id to a column of UUIDs or of text. Raises ValueError for what is no UUID."""
    return UUID(value) if isinstance(column.type, Uuid) else value


def with_error(avatar_data: str | None, error: str | None, at: datetime) -> str | None:
    """Put an error into avatar_data, or (None) take it out, and leave all else as it is; return JSON text.

    Returns None where nothing is to be written: nothing changes, or what stands there is no JSON object and so not
    what the bot's present revision writes.
    """
    if avatar_data is None and error is None:
        return None
    try:
        kept = {} if avatar_data is None else json.loads(avatar_data)
        if kept is None and error is not None:
            kept = {}
        if not isinstance(kept, dict):
            return None
        if error is not None:
            changed = {**kept, ERROR_MESSAGE: error, ERROR_TIMESTAMP: at.astimezone(UTC).isoformat()}
        else:
            changed = {key: value for key, value in kept.items() if key not in (ERROR_MESSAGE, ERROR_TIMESTAMP)}
        return None if changed == kept else json.dumps(changed, allow_nan=False)
    except (ValueError, RecursionError):  # not JSON, or a number that would not stay what it is
        return None
