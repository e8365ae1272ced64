"""Conditions on the bot's trainings, for queries that look at many of them: cheap, and no less than what is meant.

Whoever must know exactly reads the rows that pass.
"""

from sqlalchemy import Column, ColumnElement, Table, Text, cast, false, or_

from app.domain.invented import Invented
from app.domain.training import TrainingStatus


def stands_at(avatars: Table, status: TrainingStatus) -> ColumnElement[bool]:
    """Tell whether a row stands at a status, in either of the bot's spellings."""
    return cast(avatars.c.status, Text).in_([status.value, status.value.upper()])


def is_invented(avatars: Table, invented: Invented) -> ColumnElement[bool]:
    """Tell whether the LoRA or the finetune id of a row is invented, in the spelling of INVENTED_ARTIFACTS."""
    lora_url, finetune_id = avatars.c.diffusers_lora_file_url, avatars.c.finetune_id
    return or_(
        false(),
        *(_has(lora_url, f"{before}{host}/") for host in invented.hosts for before in ("//", ".")),
        *(finetune_id.startswith(prefix, autoescape=True) for prefix in invented.prefixes),
    )


def _has(column: Column[str], part: str) -> ColumnElement[bool]:
    return column.contains(part, autoescape=True)
