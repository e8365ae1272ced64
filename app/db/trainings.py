"""The bot's two tables, as this server meets them: which columns it reads and writes, and how rows are taken.

Facts: the enum columns may be VARCHAR or native, in lower or upper case, depending on the bot's revision; so columns
are taken as the database describes them, words are read without regard to case and written back in the row's spelling
(`bot_values`). Only these two modules and `bot_conditions` know the tables.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, ColumnElement, MetaData, Table, Text, cast, exists, func, inspect, null, select, update
from sqlalchemy.engine import Connection

from app.db.bot_values import fit_key, fit_moment, read_chat_id, read_trainer, read_training, spell_status, with_error
from app.db.bulk_update import Row as GivenRow
from app.db.bulk_update import UpdateMany
from app.db.many import is_among, one_parameter
from app.db.tables import jobs
from app.domain.errors import ClaimLost
from app.domain.trainer import Trainer
from app.domain.training import Change, Training, TrainingStatus

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
ERROR_HOLDER = "avatar_data"  # where the bot reads errors; not every revision has it
ZONE = "timezone"  # of users; not needed
TRIGGERS = ("trigger_word", "trigger_phrase")  # written where a training is begun here; not needed


def missing_columns(connection: Connection, wanted: Mapping[str, Iterable[str]] = NEEDED) -> list[str]:
    """Name every table and column (`table.column`) that is wanted and that the database lacks."""
    inspector = inspect(connection)
    missing: list[str] = []
    for name, needed in wanted.items():
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


@dataclass(frozen=True, slots=True)
class Unmet:
    """A training under way that has no job yet. `is_old` by the row's last change, which may be hours off."""

    request_id: str
    avatar_id: str
    trainer: Trainer | None
    is_old: bool


class BotTables:
    """`users` and `avatars` as found in this database."""

    def __init__(self, users: Table, avatars: Table) -> None:
        self._users = users
        self._avatars = avatars
        self._has_error_holder = ERROR_HOLDER in avatars.c
        select_ = (
            select(
                *(avatars.c[name] for name in READ),
                users.c.id.label("owner_id"),
                users.c.telegram_id,
                users.c.language_code,
                users.c[ZONE] if ZONE in users.c else null(),
                cast(avatars.c[ERROR_HOLDER], Text) if self._has_error_holder else null(),
            )
            .select_from(avatars.outerjoin(users, users.c.id == avatars.c.user_id))
            .order_by(avatars.c.id)
        )
        # The bot may hold a row for long, and one wait would hold up all the others of a batch. Rows that merely
        # point to an avatar hold its key alone, which we leave as it is (FOR NO KEY UPDATE).
        locked = select_.with_for_update(of=avatars, skip_locked=True, key_share=True)
        self._update = cache(self._make_update)
        self._among = cache(lambda dialect: locked.where(is_among(avatars.c.fal_request_id, "wanted", dialect)))
        self._seen = cache(lambda dialect: select_.where(is_among(avatars.c.fal_request_id, "wanted", dialect)))
        self._there = cache(
            lambda dialect: select(avatars.c.id, avatars.c.fal_request_id).where(
                is_among(avatars.c.fal_request_id, "wanted", dialect)
            )
        )
        self._set_blocked = cache(
            lambda dialect, blocked: (
                update(users)
                .where(is_among(users.c.id, "owners", dialect), users.c.is_blocked.is_not(blocked))
                .values(is_blocked=blocked)
            )
        )

    @property
    def avatars(self) -> Table:
        """The table of trainings, for conditions on it."""
        return self._avatars

    @classmethod
    def find(cls, connection: Connection) -> "BotTables":
        """Take the tables as the database describes them; `missing_columns` comes first."""
        users = described(connection, "users", NEEDED["users"], (ZONE,))
        return cls(users, described(connection, "avatars", (*NEEDED["avatars"], ERROR_HOLDER), TRIGGERS))

    def lock(self, connection: Connection, request_ids: Sequence[str]) -> Found:
        """Load the trainings of these fal request ids and keep their rows from changing until the transaction ends.

        Waits for no row; of an id that has several, all are ours or none is given.
        """
        trainings = defaultdict(list)
        ours = set()
        dialect, wanted = connection.dialect.name, {"wanted": one_parameter(connection, request_ids)}
        for row in connection.execute(self._among(dialect), wanted):
            trainings[row[1]].append(read_training(row))
            ours.add(row[0])
        if dialect == "sqlite":  # the only writer holds every row
            return Found(trainings)
        there = connection.execute(self._there(dialect), wanted)
        held = frozenset(request_id for row_id, request_id in there if row_id not in ours)
        return Found({key: rows for key, rows in trainings.items() if key not in held}, held)

    def read(self, connection: Connection, request_ids: Sequence[str]) -> list[Training]:
        """Load the trainings of these fal request ids as they stand, and lock nothing."""
        wanted = {"wanted": one_parameter(connection, request_ids)}
        return [read_training(row) for row in connection.execute(self._seen(connection.dialect.name), wanted)]

    def change(self, connection: Connection, changes: Sequence[tuple[Training, Change, str]]) -> None:
        """Write (training, change, fal's answer as JSON text).

        Compare-and-set on the status the plan was made for. Raises ClaimLost when a row has changed meanwhile.
        """
        groups: defaultdict[tuple[bool, tuple[str, ...]], list[GivenRow]] = defaultdict(list)
        for training, change, answer in changes:
            old, new = self._row(training, change, answer)
            groups[change.status is TrainingStatus.COMPLETED, tuple(new)].append((old, new))
        for (is_success, given), rows in sorted(groups.items()):
            if self._update(is_success, given)(connection, rows) != len(rows):
                raise ClaimLost("an avatar changed while its plan was made")

    def unmet(
        self, connection: Connection, *, old_before: datetime, where: ColumnElement[bool] | None = None
    ) -> list[Unmet]:
        """Find trainings under way, or rows of `where`, without a job; of several with one request id the first."""
        columns = self._avatars.c
        has_job = exists().where(jobs.c.request_id == columns.fal_request_id)
        statement = (
            select(
                columns.id,
                columns.fal_request_id,
                columns.training_type,
                columns.updated_at < fit_moment(columns.updated_at, old_before),
            )
            .where(
                func.lower(cast(columns.status, Text)) == TrainingStatus.TRAINING.value if where is None else where,
                columns.fal_request_id.is_not(None),
                columns.fal_request_id != "",
                ~has_job,
            )
            .order_by(columns.id)
        )
        found: dict[str, Unmet] = {}
        for key, request_id, trainer, is_old in connection.execute(statement):
            found.setdefault(request_id, Unmet(request_id, str(key), read_trainer(trainer), bool(is_old)))
        return list(found.values())

    def carried(self, connection: Connection, request_ids: Sequence[str]) -> frozenset[str]:
        """Tell which of these request ids an avatar carries."""
        column = self._avatars.c.fal_request_id
        return frozenset(connection.execute(select(column).where(column.in_(request_ids))).scalars())

    def _make_update(self, is_success: bool, given: tuple[str, ...]) -> UpdateMany:
        fixed = {"training_progress": 100, "training_error": None} if is_success else {}
        return UpdateMany(self._avatars, match=("id", "status"), given=given, fixed=fixed)

    def chat_id(self, connection: Connection, owner_id: str) -> int | None:
        """Look up where an owner is now; None also for an id that is none (an avatar without an owner left it)."""
        users = self._users
        try:
            key = fit_key(users.c.id, owner_id)
        except ValueError:
            return None
        statement = select(users.c.telegram_id).where(users.c.id == key)
        return read_chat_id((connection.execute(statement)).scalar_one_or_none())

    def set_blocked(self, connection: Connection, owner_ids: Sequence[str], *, blocked: bool) -> None:
        """Set users.is_blocked to what Telegram says."""
        if not owner_ids:
            return
        users = self._users
        keys = [fit_key(users.c.id, owner_id) for owner_id in owner_ids]
        statement = self._set_blocked(connection.dialect.name, blocked)
        connection.execute(statement, {"owners": one_parameter(connection, keys)})

    def _row(self, training: Training, change: Change, answer: str) -> GivenRow:
        """Spell a change in the columns that it writes."""
        columns = self._avatars.c
        old = {"id": fit_key(columns.id, training.avatar_id), "status": training.spelling}
        new: dict[str, Any] = {
            "status": spell_status(training.spelling, change.status),
            "last_status_check": fit_moment(columns.last_status_check, change.at),
            "updated_at": fit_moment(columns.updated_at, change.at),
            "fal_response_data": answer,
        }
        if change.status is TrainingStatus.COMPLETED:
            new["training_completed_at"] = fit_moment(columns.training_completed_at, change.at)
        elif change.error is not None:
            new["training_error"] = change.error
        if change.artifacts is not None:  # a failure leaves the artifacts of an earlier training alone
            new["finetune_id"] = change.artifacts.finetune_id
            new["diffusers_lora_file_url"] = change.artifacts.lora_url
            new["config_file_url"] = change.artifacts.config_url
        if self._has_error_holder and (change.status is TrainingStatus.COMPLETED or change.error is not None):
            kept = with_error(training.avatar_data, change.error, change.at)
            if kept is not None:
                new[ERROR_HOLDER] = kept
        return old, new


def described(connection: Connection, name: str, wanted: Sequence[str], if_readable: Sequence[str] = ()) -> Table:
    """Take those of these columns that a table of the bot's has, `if_readable` where our role may read them."""
    found = {column["name"]: column["type"] for column in inspect(connection).get_columns(name)}
    kept = [column for column in wanted if column in found]
    for column in (column for column in if_readable if column in found):
        may_read = select(func.has_column_privilege(name, column, "SELECT"))
        if connection.dialect.name == "sqlite" or connection.execute(may_read).scalar_one():
            kept.append(column)
    return Table(name, MetaData(), *(Column(column, found[column]) for column in kept))
