"""Generations: what the bot registered of them, and its table `image_generations`, which need not be there.

The table has no request id: a registration names the row. Without a row, or without the table, owners are told all the
same. Facts: docs/bot-database.md.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import Column, Row, Select, String, Table, and_, cast, func, inspect, null, select
from sqlalchemy.engine import Connection

from app.db.bot_values import fit_key, fit_moment
from app.db.bulk_update import Row as GivenRow
from app.db.bulk_update import UpdateMany
from app.db.many import is_among, one_parameter
from app.db.tables import jobs
from app.db.trainings import ZONE, Found, described
from app.domain.errors import ClaimLost
from app.domain.job import JobKind
from app.domain.notification import OPERATOR, Owner
from app.domain.training import Artifacts, Change, Training, TrainingStatus

TABLE = "image_generations"
WRITTEN = ("status", "result_urls", "error_message", "completed_at")
NEEDED = ("id", "original_prompt", *WRITTEN)
ERROR_LIMIT = 1000  # characters of image_generations.error_message
SUBJECT_LIMIT = 36  # characters of a subject in our tables
USER = ("id", "telegram_id", "language_code")
STATUSES = {
    "pending": TrainingStatus.TRAINING,
    "processing": TrainingStatus.TRAINING,
    "completed": TrainingStatus.COMPLETED,
    "failed": TrainingStatus.ERROR,
    "cancelled": TrainingStatus.CANCELLED,
}
_WORDS = {TrainingStatus.COMPLETED: "completed", TrainingStatus.ERROR: "failed"}


class Generations:
    """The registered generations, and the bot's rows about them where `rows` is its table. Satisfies Subjects.

    `operator_chat` may be told of generations as well as the bot's users.
    """

    def __init__(self, users: Table, rows: Table | None, operator_chat: int | None = None) -> None:
        self._users = users
        self._rows = rows
        self._operator_chat = operator_chat
        self._jobs = cache(lambda dialect: self._registered().where(is_among(jobs.c.request_id, "wanted", dialect)))
        self._update = cache(self._make_update)

    @classmethod
    def find(cls, connection: Connection, operator_chat: int | None = None) -> "Generations":
        """Take the tables as the database describes them. Without a right to the rows they count as not there."""
        users = described(connection, "users", USER, (ZONE,))
        is_there = inspect(connection).has_table(TABLE) and _may_be_worked_on(connection)
        rows = described(connection, TABLE, NEEDED) if is_there else None
        if rows is not None and len(rows.c) < len(NEEDED):
            rows = None
        return cls(users, rows, operator_chat)

    def knows(self, connection: Connection, chat_id: int) -> bool:
        """Tell whether somebody may be told in this chat: one of the bot's users, or the operator."""
        if chat_id == self._operator_chat:
            return True
        column = self._users.c.telegram_id
        return connection.execute(select(column).where(column == str(chat_id)).limit(1)).first() is not None

    def lock(self, connection: Connection, request_ids: Sequence[str]) -> Found:
        """Load the generations of these fal request ids and keep them from changing until the transaction ends.

        Waits for no row of the bot's. A request id that nobody registered is not found.
        """
        dialect, wanted = connection.dialect.name, {"wanted": one_parameter(connection, request_ids)}
        registered = connection.execute(self._jobs(dialect), wanted).all()
        rows, held = self._lock_rows(connection, [row.subject for row in registered if row.subject])
        found = {row.request_id: [_generation(row, rows.get(row.subject))] for row in registered}
        busy = frozenset(row.request_id for row in registered if row.subject in held)
        return Found({key: value for key, value in found.items() if key not in busy}, busy)

    def change(self, connection: Connection, changes: Sequence[tuple[Training, Change, str]]) -> None:
        """Write each change into its row, where there is one whose status is known; fal's answer has no column.

        Compare-and-set on the status the plan was made for. Raises ClaimLost when a row has changed meanwhile.
        """
        if self._rows is None:
            return
        columns = self._rows.c
        for status in (TrainingStatus.COMPLETED, TrainingStatus.ERROR):
            given: list[GivenRow] = [
                (
                    {"id": fit_key(columns.id, one.avatar_id), "status": one.spelling},
                    _row(columns.completed_at, one.spelling, change),
                )
                for one, change, _ in changes
                if change.status is status and one.spelling and one.status is not None
            ]
            if not given:
                continue
            if self._update(tuple(given[0][1]))(connection, given) != len(given):
                raise ClaimLost("a generation changed while its plan was made")

    def _make_update(self, given: tuple[str, ...]) -> UpdateMany:
        assert self._rows is not None, "without the table nothing is written"
        return UpdateMany(self._rows, match=("id", "status"), given=given)

    def _registered(self) -> Select[*tuple[Any, ...]]:
        users = self._users.c
        zone = users[ZONE] if ZONE in users else null()
        return (
            select(
                jobs.c.request_id, jobs.c.subject, jobs.c.endpoint, jobs.c.chat_id, jobs.c.language,
                users.id.label("owner_id"), users.language_code, zone.label("zone"),
            )
            .select_from(jobs.outerjoin(self._users, users.telegram_id == cast(jobs.c.chat_id, String)))
            .where(jobs.c.kind == JobKind.GENERATION, jobs.c.chat_id.is_not(None))
            .order_by(jobs.c.id)
            .with_for_update(of=jobs)
        )  # fmt: skip

    def _lock_rows(
        self, connection: Connection, subjects: Sequence[str]
    ) -> tuple[dict[str, Row[*tuple[Any, ...]]], frozenset[str]]:
        """Lock the named rows; return them by the name they were given, and the names of those that somebody holds."""
        if self._rows is None:
            return {}, frozenset()
        columns, keys = self._rows.c, {}
        for subject in subjects:
            with suppress(ValueError):  # no id of such a table
                keys[fit_key(columns.id, subject)] = subject
        if not keys:
            return {}, frozenset()
        dialect, wanted = connection.dialect.name, {"wanted": one_parameter(connection, list(keys))}
        asked = is_among(columns.id, "wanted", dialect)
        locked = (
            select(columns.id, columns.status, columns.original_prompt)
            .where(asked)
            .order_by(columns.id)
            .with_for_update(skip_locked=True, key_share=True)
        )
        ours = {keys[row.id]: row for row in connection.execute(locked, wanted)}
        if dialect == "sqlite":  # the only writer holds every row
            return ours, frozenset()
        there = {keys[row_id] for row_id in connection.execute(select(columns.id).where(asked), wanted).scalars()}
        return ours, frozenset(there - set(ours))


def _may_be_worked_on(connection: Connection) -> bool:
    if connection.dialect.name == "sqlite":
        return True
    there = {column["name"] for column in inspect(connection).get_columns(TABLE)}
    if not there.issuperset(NEEDED):
        return False
    rights = [(column, "SELECT") for column in NEEDED] + [(column, "UPDATE") for column in WRITTEN]
    asked = [func.has_column_privilege(TABLE, column, right) for column, right in rights]
    return bool(connection.execute(select(and_(*asked))).scalar_one())


def _generation(job: Row[*tuple[Any, ...]], row: Row[*tuple[Any, ...]] | None) -> Training:
    """Describe a registered generation; without a row of the bot's it is named by its request id."""
    spelling = "" if row is None else str(row.status)
    return Training(
        avatar_id=(job.subject or job.request_id)[:SUBJECT_LIMIT],
        request_id=job.request_id,
        name="" if row is None else row.original_prompt or "",
        trainer=None,
        status=TrainingStatus.TRAINING if row is None else STATUSES.get(spelling.lower()),
        spelling=spelling,
        artifacts=Artifacts(),
        owner=Owner(
            str(job.owner_id or OPERATOR),
            job.chat_id,
            (job.language or job.language_code or "")[:16],
            (job.zone or "")[:32],
        ),
        endpoint=job.endpoint,
    )


def _row(completed_at: Column[datetime], spelling: str, change: Change) -> dict[str, Any]:
    word = _WORDS[change.status]
    status = word.upper() if spelling.isupper() else word
    if change.status is TrainingStatus.COMPLETED:
        urls = orjson.dumps(change.images).decode()
        return {"status": status, "result_urls": urls, "completed_at": fit_moment(completed_at, change.at)}
    return {"status": status, "error_message": (change.error or "")[:ERROR_LIMIT]}
