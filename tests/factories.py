"""Rows of the bot, deliveries of fal."""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from app.core.config import INVENTED_ARTIFACTS
from app.db.engine import Database
from app.domain.delivery import Delivery
from app.domain.invented import Invented
from app.domain.notification import Owner
from app.domain.trainer import Trainer
from app.domain.training import Artifacts, Training, TrainingStatus
from app.fal.payload import FalAnswer
from tests.fakes import START

LORA = "https://v3.fal.media/files/elephant/pytorch_lora_weights.safetensors"
CONFIG = "https://v3.fal.media/files/elephant/config.json"
INVENTED_LORA = "https://emergency-fallback.com/lora/0b0f5b9e.safetensors"
INVENTED_ID = "fallback-style-0b0f5b9e"
INVENTED = Invented.of(INVENTED_ARTIFACTS)

USERS = """
CREATE TABLE users (
  id uuid PRIMARY KEY, telegram_id varchar(50) UNIQUE, first_name varchar(64), last_name varchar(64),
  username varchar(64), language_code varchar(8) DEFAULT 'ru', timezone varchar(32) DEFAULT 'UTC+5',
  is_blocked boolean NOT NULL DEFAULT false, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
"""
AVATARS = """
CREATE TABLE avatars (
  id uuid PRIMARY KEY, user_id uuid REFERENCES users (id), name varchar(100), training_type {training_type},
  status {status}, fal_request_id varchar(255), finetune_id varchar(255), training_progress int DEFAULT 0,
  training_started_at timestamptz, training_completed_at timestamptz, trigger_word varchar(50) DEFAULT 'TOK',
  trigger_phrase varchar(100), diffusers_lora_file_url varchar(500), config_file_url varchar(500), training_logs text,
  training_error text, webhook_url varchar(500), last_status_check timestamptz, avatar_data json, training_config json,
  fal_response_data json, is_main boolean DEFAULT false, created_at timestamptz DEFAULT now(),
  updated_at timestamptz DEFAULT now()
);
CREATE INDEX ix_avatars_fal_request_id ON avatars (fal_request_id);
"""
NEW_AVATAR = "INSERT INTO avatars (id, user_id, name, training_type, status, fal_request_id) VALUES (?, ?, ?, ?, ?, ?)"
BOT_TABLES = USERS + AVATARS.format(training_type="varchar(32)", status="varchar(32)")


def native_enums(*, upper: bool) -> str:
    """The bot's tables in a revision with native enums."""

    def labels(words: list[str]) -> str:
        return ", ".join(f"'{word.upper() if upper else word}'" for word in words)

    statuses = labels([status.value for status in TrainingStatus])
    trainers = labels([trainer.value for trainer in Trainer])
    return (
        f"CREATE TYPE avatarstatus AS ENUM ({statuses}); CREATE TYPE trainingtype AS ENUM ({trainers});"
        + USERS
        + AVATARS.format(training_type="trainingtype", status="avatarstatus")
    )


@dataclass
class Bot:
    """What the bot does to its own tables, as far as tests need it."""

    database: Database

    async def train(
        self,
        request_id: str,
        *,
        status: str = "training",
        trainer: str = "portrait",
        telegram_id: str | None = None,
        name: str = "Айша",
        language: str = "ru",
        blocked: bool = False,
    ) -> str:
        """Make an owner and an avatar in training; return the avatar's id."""
        owner, avatar = str(uuid.uuid4()), str(uuid.uuid4())
        chat = telegram_id or str(uuid.UUID(owner).int % 10**9 + 1)
        await self._run(
            "INSERT INTO users (id, telegram_id, language_code, is_blocked) VALUES (?, ?, ?, ?)",
            self._id(owner),
            chat,
            language,
            blocked,
        )
        await self._run(
            NEW_AVATAR,
            self._id(avatar),
            self._id(owner),
            name,
            trainer,
            status,
            request_id,
        )
        return avatar

    async def train_many(self, request_ids: Sequence[str]) -> None:
        """Make an owner and an avatar in training for each request id."""
        owners = [self._id(str(uuid.uuid4())) for _ in request_ids]
        people = [(owner, str(1000 + number)) for number, owner in enumerate(owners)]
        avatars = [
            (self._id(str(uuid.uuid4())), owner, "Айша", "portrait", "training", request_id)
            for owner, request_id in zip(owners, request_ids, strict=True)
        ]
        with self.database.engine.begin() as transaction:
            for statement, rows in (
                ("INSERT INTO users (id, telegram_id) VALUES (?, ?)", people),
                (NEW_AVATAR, avatars),
            ):
                spelled = statement if self.database.is_sqlite else statement.replace("?", "%s")
                transaction.exec_driver_sql(spelled, rows)

    async def avatar(self, avatar_id: str) -> dict[str, Any]:
        """Read the avatar's row; the owner's is_blocked with it."""
        with self.database.engine.connect() as connection:
            rows = connection.execute(
                text(
                    "SELECT a.*, CAST(a.status AS varchar(32)) AS word, u.is_blocked FROM avatars a "
                    "LEFT JOIN users u ON u.id = a.user_id WHERE a.id = :id"
                ),
                {"id": self._id(avatar_id)},
            )
            return dict(rows.mappings().one())

    async def write(self, avatar_id: str, **values: object) -> None:
        """Write into an avatar's row without condition, as the bot does."""
        columns = ", ".join(f"{name} = ?" for name in values)
        await self._run(f"UPDATE avatars SET {columns} WHERE id = ?", *values.values(), self._id(avatar_id))

    async def _run(self, statement: str, *values: object) -> None:
        """Run as the driver does it: PostgreSQL then takes plain words for its native enums."""
        statement = statement if self.database.is_sqlite else statement.replace("?", "%s")
        with self.database.engine.begin() as transaction:
            transaction.exec_driver_sql(statement, values)

    def _id(self, value: str) -> object:
        return value if self.database.is_sqlite else uuid.UUID(value)


def ok_body(request_id: str, *, lora: str | None = LORA, **payload: Any) -> bytes:
    """A success as fal sends it: keys sorted, `error` null."""
    artifacts = {} if lora is None else {"diffusers_lora_file": {"url": lora}, "config_file": {"url": CONFIG}}
    return _body(request_id, "OK", {**artifacts, **payload}, None)


def error_body(request_id: str, detail: Any = "face not found") -> bytes:
    return _body(request_id, "ERROR", {"detail": detail}, "Invalid status code: 422")


def empty_ok_body(request_id: str) -> bytes:
    """fal.md shape 4: the job succeeded, its payload could not be serialised."""
    return json.dumps(
        {
            "error": None,
            "gateway_request_id": request_id,
            "payload": None,
            "payload_error": "Response payload is not JSON serializable",
            "request_id": request_id,
            "status": "OK",
        },
        sort_keys=True,
    ).encode()


def result_answer(delivered: bytes) -> FalAnswer:
    """What the result endpoint says of a success, as the webhook told it in these bytes."""
    return FalAnswer(200, {}, json.dumps(json.loads(delivered)["payload"] or {}).encode())


def _body(request_id: str, status: str, payload: Any, error: str | None) -> bytes:
    return json.dumps(
        {
            "error": error,
            "gateway_request_id": request_id,
            "payload": payload,
            "request_id": request_id,
            "status": status,
        },
        sort_keys=True,
    ).encode()


def delivery(request_id: str, body: bytes | None = None, received_at: datetime = START) -> Delivery:
    content = ok_body(request_id) if body is None else body
    return Delivery(request_id, content, hashlib.sha256(content).hexdigest(), {}, received_at)


def training(status: TrainingStatus | None = TrainingStatus.TRAINING, **changes: Any) -> Training:
    values: dict[str, Any] = {
        "avatar_id": "0b0f5b9e-5f6c-4a51-9d3b-7f2f4b0a1c11",
        "request_id": "r1",
        "name": "Айша",
        "trainer": Trainer.PORTRAIT,
        "status": status,
        "spelling": "training" if status is None else status.value,
        "artifacts": Artifacts(),
        "owner": Owner("o1", 42, "ru"),
    }
    return Training(**{**values, **changes})


def generations_table(status: str = "varchar(20)", key: str = "uuid") -> str:
    """The bot's table of image generations."""
    return f"""
CREATE TABLE image_generations (
  id {key} PRIMARY KEY, user_id {key}, avatar_id {key}, generation_type varchar(50), source_model varchar(100),
  original_prompt varchar(1000), final_prompt varchar(5000), num_images int, status {status}, result_urls json,
  error_message varchar(1000), created_at timestamp, completed_at timestamp
)
"""


@dataclass
class BotOfImages:
    """What the bot does about images: a table where it has one, a person, a row."""

    database: Database

    def make_table(self, status: str = "varchar(20)") -> None:
        key = "varchar(36)" if self.database.is_sqlite else "uuid"
        with self.database.engine.begin() as transaction:
            transaction.exec_driver_sql(generations_table(status, key))

    def drop_table(self) -> None:
        """Leave a shared database as it was."""
        with self.database.engine.begin() as transaction:
            transaction.exec_driver_sql("DROP TABLE IF EXISTS image_generations")

    def meet(self, chat_id: int, language: str = "ru") -> str:
        """Make a user who talks to the bot in this chat; return their id."""
        user = str(uuid.uuid4())
        self._run(
            "INSERT INTO users (id, telegram_id, language_code, is_blocked) VALUES (?, ?, ?, ?)",
            self._id(user),
            str(chat_id),
            language,
            False,
        )
        return user

    def ask(self, prompt: str, status: str = "processing") -> str:
        """Make a row of image_generations; return its id."""
        row = str(uuid.uuid4())
        self._run(
            "INSERT INTO image_generations (id, original_prompt, status) VALUES (?, ?, ?)",
            self._id(row),
            prompt,
            status,
        )
        return row

    def row(self, row_id: str) -> dict[str, Any]:
        """Read a row; `word` is its status as text, `urls` its results."""
        with self.database.engine.connect() as connection:
            found = connection.execute(
                text("SELECT *, CAST(status AS varchar(20)) AS word FROM image_generations WHERE id = :id"),
                {"id": self._id(row_id)},
            )
            row = dict(found.mappings().one())
        urls = row["result_urls"]
        return {**row, "urls": json.loads(urls) if isinstance(urls, str) else urls}

    def _run(self, statement: str, *values: object) -> None:
        statement = statement if self.database.is_sqlite else statement.replace("?", "%s")
        with self.database.engine.begin() as transaction:
            transaction.exec_driver_sql(statement, values)

    def _id(self, value: str) -> object:
        return value if self.database.is_sqlite else uuid.UUID(value)
