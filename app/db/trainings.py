"""The bot's two tables, as this server meets them. The only file that knows them.

Facts: the enum columns may be VARCHAR or native, in lower or upper case, depending on the bot's revision; so columns
are taken as the database describes them, words are read without regard to case and written back in the row's spelling.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import Column, MetaData, Row, Table, Uuid, inspect, select, update
from sqlalchemy import DateTime as SqlDateTime
from sqlalchemy.engine import Connection

from app.db.bulk_update import Row as GivenRow
from app.db.bulk_update import UpdateMany
from app.domain.errors import ClaimLost
from app.domain.notification import Owner
from app.domain.training import Artifacts, Change, Trainer, Training, TrainingStatus

NEEDED = {
    "users": ("id", "telegram_id", "language_code", "is_blocked"),
    "avatars": (
        "id",
        "user_id",
        "name",
        "training_type",
        "status",
        "fal_request_id",
        "finetune_id",
        "training_progress",
        "training_started_at",
        "training_completed_at",
        "diffusers_lora_file_url",
        "config_file_url",
        "training_error",
        "last_status_check",
        "fal_response_data",
        "updated_at",
    ),
}
WRITTEN = {
    "users": ("is_blocked",),
    "avatars": (
        "status",
        "finetune_id",
        "training_progress",
        "training_completed_at",
        "diffusers_lora_file_url",
        "config_file_url",
        "training_error",
        "last_status_check",
        "fal_response_data",
        "updated_at",
    ),
}
READ = (
    "id", "fal_request_id", "name", "training_type", "status", "diffusers_lora_file_url", "config_file_url",
    "finetune_id",
)  # fmt: skip
CHAT_ID_BITS = 52  # Bot API: chat ids have at most 52 significant bits


def missing_columns(connection: Connection) -> list[str]:
    """Name every table and column (`table.column`) that this server needs and the database lacks."""
    inspector = inspect(connection)
    missing: list[str] = []
    for name, needed in NEEDED.items():
        if not inspector.has_table(name):
            missing.append(name)
            continue
        found = {column["name"] for column in inspector.get_columns(name)}
        missing += [f"{name}.{column}" for column in needed if column not in found]
    return missing


@dataclass(frozen=True, slots=True)
class Found:
    """Trainings by fal request id, and the ids that must wait: somebody else is writing a row of theirs."""

    trainings: dict[str, list[Training]]
    held: frozenset[str] = frozenset()


class BotTables:
    """`users` and `avatars` as found in this database."""

    def __init__(self, users: Table, avatars: Table) -> None:
        self._users = users
        self._avatars = avatars
        self._select = (
            select(
                *(avatars.c[name] for name in READ),
                users.c.id.label("owner_id"),
                users.c.telegram_id,
                users.c.language_code,
            )
            .select_from(avatars.outerjoin(users, users.c.id == avatars.c.user_id))
            .order_by(avatars.c.id)
            # The bot may hold a row for long, and one wait would hold up all the others of a batch. Rows that merely
            # point to an avatar hold its key alone, which we leave as it is (FOR NO KEY UPDATE).
            .with_for_update(of=avatars, skip_locked=True, key_share=True)
        )
        match = ("id", "status")
        touched = ("status", "last_status_check", "updated_at", "fal_response_data")
        self._complete = UpdateMany(
            avatars,
            match=match,
            given=(
                *touched,
                "finetune_id",
                "diffusers_lora_file_url",
                "config_file_url",
                "training_completed_at",
            ),
            fixed={"training_progress": 100, "training_error": None},
        )
        # A failure leaves the artifacts of an earlier training alone.
        self._fail = UpdateMany(avatars, match=match, given=(*touched, "training_error"))

    @classmethod
    def find(cls, connection: Connection) -> "BotTables":
        """Take the tables as the database describes them; `missing_columns` comes first."""
        inspector = inspect(connection)
        tables = {}
        for name, needed in NEEDED.items():
            found = {column["name"]: column["type"] for column in inspector.get_columns(name)}
            tables[name] = Table(name, MetaData(), *(Column(column, found[column]) for column in needed))
        return cls(tables["users"], tables["avatars"])

    def lock(self, connection: Connection, request_ids: Sequence[str]) -> Found:
        """Load the trainings of these fal request ids and keep their rows from changing until the transaction ends.

        Waits for no row; of an id that has several, all are ours or none is given.
        """
        columns = self._avatars.c
        wanted = columns.fal_request_id.in_(request_ids)
        trainings = defaultdict(list)
        ours = set()
        for row in connection.execute(self._select.where(wanted)):
            trainings[row.fal_request_id].append(_training(row))
            ours.add(row.id)
        if connection.dialect.name == "sqlite":  # the only writer holds every row
            return Found(trainings)
        there = connection.execute(select(columns.id, columns.fal_request_id).where(wanted))
        held = frozenset(row.fal_request_id for row in there if row.id not in ours)
        return Found({key: rows for key, rows in trainings.items() if key not in held}, held)

    def change(self, connection: Connection, changes: Sequence[tuple[Training, Change, str]]) -> None:
        """Write (training, change, fal's answer as JSON text).

        Compare-and-set on the status the plan was made for. Raises ClaimLost when a row has changed meanwhile.
        """
        for completed in (True, False):
            rows = [
                self._row(training, change, answer)
                for training, change, answer in changes
                if (change.status is TrainingStatus.COMPLETED) is completed
            ]
            if not rows:
                continue
            if (self._complete if completed else self._fail)(connection, rows) != len(rows):
                raise ClaimLost("an avatar changed while its plan was made")

    def chat_id(self, connection: Connection, owner_id: str) -> int | None:
        """Look up where an owner is now; None also for an id that is none (an avatar without an owner left it)."""
        users = self._users
        try:
            key = self._key(users.c.id, owner_id)
        except ValueError:
            return None
        statement = select(users.c.telegram_id).where(users.c.id == key)
        return _chat_id((connection.execute(statement)).scalar_one_or_none())

    def set_blocked(self, connection: Connection, owner_ids: Sequence[str], *, blocked: bool) -> None:
        """Set users.is_blocked to what Telegram says."""
        if not owner_ids:
            return
        users = self._users
        keys = [self._key(users.c.id, owner_id) for owner_id in owner_ids]
        connection.execute(
            update(users).where(users.c.id.in_(keys), users.c.is_blocked.is_not(blocked)).values(is_blocked=blocked)
        )

    def _row(self, training: Training, change: Change, answer: str) -> GivenRow:
        columns = self._avatars.c
        old = {"id": self._key(columns.id, training.avatar_id), "status": training.spelling}
        new = {
            "status": _spelled_like(training.spelling, change.status),
            "last_status_check": _moment(columns.last_status_check, change.at),
            "updated_at": _moment(columns.updated_at, change.at),
            "fal_response_data": answer,
        }
        if change.artifacts is None:
            return old, {**new, "training_error": change.error}
        return old, {
            **new,
            "finetune_id": change.artifacts.finetune_id,
            "diffusers_lora_file_url": change.artifacts.lora_url,
            "config_file_url": change.artifacts.config_url,
            "training_completed_at": _moment(columns.training_completed_at, change.at),
        }

    @staticmethod
    def _key(column: Column[Any], value: str) -> str | UUID:
        return UUID(value) if isinstance(column.type, Uuid) else value


def _training(row: Row[*tuple[Any, ...]]) -> Training:
    """Read a row of READ and its owner's three columns."""
    key, request_id, name, trainer, status, lora_url, config_url, finetune_id, owner_id, telegram_id, language = row
    spelling = str(status)
    return Training(
        avatar_id=str(key),
        request_id=request_id,
        name=name or "",
        trainer=_word(Trainer, trainer),
        status=_word(TrainingStatus, spelling),
        spelling=spelling,
        artifacts=Artifacts(lora_url=lora_url, config_url=config_url, finetune_id=finetune_id),
        owner=Owner(str(owner_id or ""), _chat_id(telegram_id), (language or "")[:16]),
    )


@lru_cache(256)
def _word(vocabulary: type[Any], raw: object) -> Any:
    try:
        return vocabulary(str(raw).lower())
    except ValueError:
        return None


def _chat_id(raw: object) -> int | None:
    """Parse users.telegram_id, which the bot keeps as text."""
    text = str(raw or "").strip()
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 16:  # noqa: PLR2004  52 bits are at most 16 digits
        return None
    number = int(text)
    return number if number and abs(number) < 1 << CHAT_ID_BITS else None


def _spelled_like(spelling: str, status: TrainingStatus) -> str:
    return status.value.upper() if spelling.isupper() else status.value


def _moment(column: Column[Any], at: datetime) -> datetime:
    """Fit a moment to a column with or without time zone; without, the bot means UTC."""
    zoned = isinstance(column.type, SqlDateTime) and column.type.timezone
    return at.astimezone(UTC) if zoned else at.astimezone(UTC).replace(tzinfo=None)
