"""The stage of the demo: both twins, the bot's side of a scratch database, and the real server between them."""

import asyncio
import json
import secrets
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.cli.demo.report import Exchange, Job, Look
from app.cli.demo.server import Program, running
from app.db import operator_queries
from app.db.engine import Connection, Database, open_database
from app.db.operator_queries import Queue
from app.domain.language import Language
from app.domain.training import Trainer
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.fal import FalTwin
from app.twins.forgeries import Forgery
from app.twins.sender import Attempt, FalSender, Record
from app.twins.signing import ACCOUNT
from app.twins.telegram import TelegramTwin

DOMAIN = "aibots.kz"  # in the certificate; the server takes it as its own name by default
FIRST_CHAT = 700_000_001
WAIT_SECONDS = 8.0  # the longest that anything here should take is an orphan's three
LOOK_EVERY = 0.05  # s

INSERT_USER = "INSERT INTO users (id, telegram_id, first_name, language_code) VALUES (?, ?, ?, ?)"
INSERT_AVATAR = (
    "INSERT INTO avatars (id, user_id, name, training_type, status, fal_request_id, training_started_at) "
    "VALUES (?, ?, ?, ?, 'training', ?, CURRENT_TIMESTAMP)"
)
COMMIT_REQUEST_ID = "UPDATE avatars SET fal_request_id = ? WHERE id = ?"
SELECT_AVATAR = (
    "SELECT a.status, a.training_progress, a.diffusers_lora_file_url AS lora_url, a.finetune_id, a.training_error, "
    "u.is_blocked FROM avatars a JOIN users u ON u.id = a.user_id WHERE a.id = ?"
)


@dataclass(slots=True)
class Stage:
    """Everything that the steps play on."""

    language: Language
    fal: FalTwin
    telegram: TelegramTwin
    program: Program
    database: Database
    senders: dict[Trainer, FalSender]
    jobs: list[Job] = field(default_factory=list)
    statuses: dict[str, str] = field(default_factory=dict)  # of avatars by request id, as they were seen last

    async def train(self, name: str, trainer: Trainer = Trainer.PORTRAIT, *, committed: bool = True) -> Job:
        """Do what the bot does when an owner orders a training; `committed=False`: it has no request id yet."""
        number = len(self.jobs)
        job = Job(bodies.job_id(number), str(uuid.uuid4()), FIRST_CHAT + number, name)
        self.jobs.append(job)
        self.statuses[job.request_id] = "training"
        owner_id = str(uuid.uuid4())
        request_id = job.request_id if committed else None
        owner = (owner_id, str(job.chat_id), name, self.language)
        await self.database.write(Connection.exec_driver_sql, INSERT_USER, owner)
        avatar = (job.avatar_id, owner_id, name, trainer.value, request_id)
        await self.database.write(Connection.exec_driver_sql, INSERT_AVATAR, avatar)
        return job

    async def commit_request_id(self, job: Job) -> None:
        """Do what the bot does once fal told it the request id."""
        await self.database.write(Connection.exec_driver_sql, COMMIT_REQUEST_ID, (job.request_id, job.avatar_id))

    async def deliver(
        self,
        job: Job,
        body: bytes,
        *,
        trainer: Trainer = Trainer.PORTRAIT,
        what: str = "signed",
        show_body: bool = False,
    ) -> Exchange:
        """Send one signed webhook."""
        sender = self.senders[trainer]
        return _exchange(what, sender, await sender.post(job.request_id, body), show_body=show_body)

    async def replay(self, record: Record) -> Exchange:
        """Send the bytes of an earlier delivery again."""
        sender = self.senders[Trainer.PORTRAIT]
        return _exchange("replay", sender, await sender.replay(record))

    async def forge(self, forgery: Forgery, job: Job) -> Exchange:
        """Send one forgery that would complete the job, were it believed."""
        sender = self.senders[Trainer.PORTRAIT]
        return _exchange(forgery, sender, await sender.forged(forgery, job.request_id, bodies.success(job.request_id)))

    async def look(self, job: Job) -> Look:
        """See what became of a job by now."""
        # In the order in which they come about: what a finished row caused is then there to be seen.
        deliveries = await self.database.read(operator_queries.find, Queue.DELIVERIES, job.request_id)
        notifications = await self.database.read(operator_queries.find, Queue.NOTIFICATIONS, job.request_id)
        avatar = await self.database.read(_avatar, job.avatar_id)
        messages = [message for message in self.telegram.messages if message.chat_id == job.chat_id]
        return Look(job, self.statuses[job.request_id], avatar, deliveries, notifications, messages)

    async def settled(self, job: Job) -> Look:
        """Wait until nothing of a job is left to be done."""
        return await self.until(job, lambda look: look.settled)

    async def until(self, job: Job, seen: Callable[[Look], bool]) -> Look:
        """Look again and again until it is seen; after WAIT_SECONDS return what there is, for the checks to judge."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + WAIT_SECONDS
        while not seen(look := await self.look(job)):
            if loop.time() > give_up or self.program.exit_code is not None:
                break
            await asyncio.sleep(LOOK_EVERY)
        self.statuses[job.request_id] = look.avatar["status"]
        return look


def _exchange(what: str, sender: FalSender, attempt: Attempt, *, show_body: bool = False) -> Exchange:
    record = sender.log[-1]
    try:
        answer: Any = json.loads(attempt.answer)
    except ValueError:
        answer = {}
    return Exchange(
        what,
        record.request_id,
        record.body,
        attempt.status,
        answer if isinstance(answer, dict) else {},
        attempt.error,
        show_body,
    )


@asynccontextmanager
async def staged(folder: Path, language: Language, last_lines: deque[str], give_up: float) -> AsyncIterator[Stage]:
    """Set the stage up in `folder` and clear it away, the server first. Raises NotStarted.

    `last_lines` and `give_up` are those of `running`.
    """
    token, api_key = f"{secrets.randbelow(10**9)}:{secrets.token_urlsafe(26)}", secrets.token_urlsafe(24)
    fal, telegram = FalTwin(api_key=api_key), TelegramTwin(tokens=[token])
    async with AsyncExitStack() as stack:
        fal_url = await stack.enter_async_context(fal.serve())
        telegram_url = await stack.enter_async_context(telegram.serve())
        database_url = f"sqlite:///{folder / 'demo.db'}"
        certificate = folder / "ssl" / "demo.crt"
        settings = {
            "API_HOST": "127.0.0.1",
            "API_PORT": "0",
            "API_DOMAIN": DOMAIN,
            "SSL_CERT_PATH": str(certificate),
            "SSL_KEY_PATH": str(folder / "ssl" / "demo.key"),
            "SSL_CA_BUNDLE_PATH": str(folder / "ssl" / "demo.ca-bundle"),
            "DATABASE_URL": database_url,
            "DATA_DIR": str(folder / "data"),
            "LOG_DIR": str(folder / "logs"),
            "TELEGRAM_TOKEN": token,
            "TELEGRAM_API_URL": telegram_url,
            "FAL_API_KEY": api_key,
            "FAL_USER_ID": ACCOUNT,
            "FAL_JWKS_URLS": f"{fal_url}/.well-known/jwks.json",
            "FAL_QUEUE_URL": fal_url,
            "FAL_API_URL": fal_url,
            "DEFAULT_LANGUAGE": language,
            "POLL_INTERVAL": "0.1",  # nobody wants to watch a second pass
        }
        program = await stack.enter_async_context(running(folder, settings, last_lines, give_up))
        senders = {
            trainer: await stack.enter_async_context(
                FalSender(
                    f"{program.url}{PATH}?training_type={trainer}", fal.key, ca_file=certificate, server_name=DOMAIN
                )
            )
            for trainer in Trainer
        }
        database = open_database(database_url)
        stack.push_async_callback(database.close)
        yield Stage(language, fal, telegram, program, database, senders)


def _avatar(connection: Connection, avatar_id: str) -> dict[str, Any]:
    return dict(connection.exec_driver_sql(SELECT_AVATAR, (avatar_id,)).mappings().one())
