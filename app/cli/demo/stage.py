"""The stage of the demo: both twins, the bot's side of a scratch database, and the real server between them."""

import asyncio
import json
import os
import re
import secrets
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.catalog import translate
from app.cli.demo.scenes import DemoAct, Expected, lora_url
from app.core.setting_sources import environment
from app.db import operator_queries
from app.db.engine import Connection, Database, open_database
from app.db.operator_queries import Queue
from app.domain.language import Language
from app.domain.trainer import Trainer
from app.routers.fal_webhook import PATH
from app.twins import bodies
from app.twins.cdn import MISSING, CdnTwin
from app.twins.fal import FalTwin
from app.twins.forgeries import Forgery
from app.twins.sender import FalSender
from app.twins.signing import ACCOUNT
from app.twins.telegram import TelegramTwin

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = "aibots.kz"  # in the certificate; the server takes it as its own name by default
CONSOLE = "console.log"  # what the server printed, in the scratch folder
FIRST_CHAT = 700_000_001
WAIT_SECONDS = 15.0  # the longest that anything here should take is five: fal is asked, and once more for the result
LOOK_EVERY = 0.05  # s
PRIVATE = "private-photos"  # in the link that fal's 422 echoes
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH")
ADDRESS = re.compile(r"https://127\.0\.0\.1:\d+")

INSERT_USER = "INSERT INTO users (id, telegram_id, first_name, language_code) VALUES (?, ?, ?, ?)"
INSERT_AVATAR = (
    "INSERT INTO avatars (id, user_id, name, training_type, status, fal_request_id, training_started_at) "
    "VALUES (?, ?, ?, ?, 'training', ?, CURRENT_TIMESTAMP)"
)
SELECT_AVATAR = (
    "SELECT a.id, a.name, a.status, a.training_progress, a.diffusers_lora_file_url AS lora_url, a.finetune_id, "
    "a.training_error, u.is_blocked FROM avatars a JOIN users u ON u.id = a.user_id WHERE a.id = ?"
)
DELIVERY = ("id", "state", "reason", "repeats", "detail")
NOTIFICATION = ("id", "kind", "cause", "state", "reason", "detail")

Event = dict[str, Any]
"""As --json prints it: a POST ("sent") and its answer, a look ("avatar"), a remark ("note") or a check ("holds")."""


class ServerNotStarted(Exception):
    """The server left with `exit_code` before it took connections."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


@dataclass(slots=True)
class DemoJob:
    """One training as the bot ordered it; `status` is the avatar's as it was seen last."""

    request_id: str
    avatar_id: str
    chat_id: int
    name: str
    status: str = "training"


@dataclass(slots=True)
class DemoStage:
    """Everything that the acts are played on."""

    language: Language
    owners: str  # their language: what the bot would have written into users.language_code
    fal: FalTwin
    cdn: CdnTwin
    telegram: TelegramTwin
    server: asyncio.subprocess.Process
    url: str
    database: Database
    senders: Mapping[Trainer, FalSender]
    jobs: dict[str, DemoJob] = field(default_factory=dict)

    async def play(self, act: DemoAct) -> AsyncIterator[Event]:
        """Send what the act sends and wait until its effect is there; yield what happens."""
        name = translate(act.owner, self.language)
        job = self.jobs.get(name) or await self._train(name, act)
        accepted = {"status": "received", "request_id": job.request_id}
        if act.fetchable:
            self.fal.succeed(job.request_id)
        lora = urlsplit(lora_url(job.request_id)).path
        if act.meanwhile is not None and act.meanwhile.statement is None:
            self.cdn.faults[lora] = MISSING
        if act.fault is not None:
            self.telegram.fail(act.fault, chat_id=job.chat_id)
        for what, (status, code) in act.sends.items():
            exchange = await self._send(what, act, job)
            yield exchange
            yield check(f"answer.{what}.status", status, exchange["status"])
            yield check(f"answer.{what}.body", code or accepted, exchange["answer"].get("code", exchange["answer"]))
        if act.meanwhile is not None:
            for event in await self._until(job, act.meanwhile.expected):
                yield event
            yield {"note": translate(act.meanwhile.said, self.language)}
            if act.meanwhile.statement is None:
                del self.cdn.faults[lora]
            else:
                ids = {"request_id": job.request_id, "avatar_id": job.avatar_id}
                await self.database.write(Connection.exec_driver_sql, act.meanwhile.statement, ids)
        for event in await self._until(job, act.expected):
            yield event

    async def _train(self, name: str, act: DemoAct) -> DemoJob:
        """Do what the bot does when an owner orders a training."""
        number, owner_id = len(self.jobs), str(uuid.uuid4())
        job = self.jobs[name] = DemoJob(bodies.job_id(number), str(uuid.uuid4()), FIRST_CHAT + number, name)
        avatar = (job.avatar_id, owner_id, name, act.trainer.value, job.request_id if act.known else None)
        owner = (owner_id, str(job.chat_id), name, self.owners)
        await self.database.write(Connection.exec_driver_sql, INSERT_USER, owner)
        await self.database.write(Connection.exec_driver_sql, INSERT_AVATAR, avatar)
        return job

    async def _send(self, what: str, act: DemoAct, job: DemoJob) -> Event:
        sender, body = self.senders[act.trainer], act.body(job.request_id)
        match what:
            case "signed" | "again":
                attempt = await sender.post(job.request_id, body)
            case "replay":
                first = next(record for record in sender.log if record.request_id == job.request_id)
                attempt = await sender.replay(first)
            case forgery:
                attempt = await sender.forged(Forgery(forgery), job.request_id, body)
        answer: Event = {}
        with suppress(ValueError, TypeError):  # not ours: nothing of it is as expected
            answer = dict(json.loads(attempt.answer))
        sent = {"what": what, "request_id": job.request_id, "body": sender.log[-1].body.decode(errors="replace")}
        return {"sent": sent, "status": attempt.status, "answer": answer, "error": attempt.error}

    async def _until(self, job: DemoJob, expected: Expected) -> list[Event]:
        """Look until everything expected is seen, for at most WAIT_SECONDS; return the last look and its checks."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + WAIT_SECONDS
        while True:
            look = await self._look(job)
            facts = self._facts(job, look)
            wanted = ((name, one(job.request_id) if callable(one) else one) for name, one in expected.items())
            checks = [check(name, one, facts[name]) for name, one in wanted]
            if all(one["holds"] for one in checks) or loop.time() > give_up or self.server.returncode is not None:
                job.status = look["avatar"]["status"]
                return [look, *checks]
            await asyncio.sleep(LOOK_EVERY)

    async def _look(self, job: DemoJob) -> Event:
        """See what became of a job by now: the bot's row, our rows, and what its owner's chat was shown."""
        deliveries = await self.database.read(operator_queries.find, Queue.DELIVERIES, job.request_id)
        notifications = await self.database.read(operator_queries.find, Queue.NOTIFICATIONS, job.request_id)
        avatar = await self.database.read(_avatar, job.avatar_id)
        return {
            "request_id": job.request_id,
            "avatar": {"before": job.status, **avatar},
            "deliveries": [{name: row[name] for name in DELIVERY} for row in deliveries],
            "notifications": [{name: row[name] for name in NOTIFICATION} for row in notifications],
            "messages": [
                {"id": one.message_id, "chat_id": one.chat_id, "text": one.shown, "buttons": one.buttons}
                for one in self.telegram.messages
                if one.chat_id == job.chat_id
            ],
        }

    def _facts(self, job: DemoJob, look: Event) -> dict[str, Any]:
        """Name what an act can expect of a look."""
        avatar, deliveries, notifications = look["avatar"], look["deliveries"], look["notifications"]
        changed = "" if avatar["before"] == avatar["status"] else f"{avatar['before']} → "
        return {
            "avatar": f"{changed}{avatar['status']}, {avatar['training_progress']} %",
            "name": avatar["name"],
            "lora_url": avatar["lora_url"],
            "finetune_id": avatar["finetune_id"],
            "training_error": avatar["training_error"],
            "blocked": bool(avatar["is_blocked"]),
            "delivery": [f"{row['state']}, {row['reason']}" for row in deliveries],
            "repeats": [row["repeats"] for row in deliveries],
            "notification": [f"{row['kind']}: {row['reason'] or row['state']}" for row in notifications],
            "cause": [row["cause"] for row in notifications],
            "messages": len(look["messages"]),
            "whole": all(job.name in message["text"] for message in look["messages"]),
            "hidden": PRIVATE not in repr(look),
            "queue": [f"{call.name}: {call.status}" for call in self.fal.calls if call.request_id == job.request_id],
            "telegram": [call.status for call in self.telegram.calls if call.chat_id == job.chat_id],
        }


def check(name: str, expected: Any, seen: Any) -> Event:
    """Say what should be seen, and what is."""
    return {"name": name, "expected": expected, "seen": seen, "holds": expected == seen}


@asynccontextmanager
async def running(
    folder: Path, settings: Mapping[str, str], cdn_url: str, start_by: float, give_up: float
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Run the server in `folder`, where no .env lies, with these settings and none of the user's.

    fal's CDN is the twin at `cdn_url`: that is all that the launcher does differently from `python -m app.main`.

    Yields the process and its URL; what it prints goes to CONSOLE. In the loop's time, `start_by` is when it must take
    connections, and `give_up` when it is killed if it has not left. Raises ServerNotStarted and TimeoutError.
    """
    inherited = {name: value for name, value in environment().items() if name in INHERITED}
    # It finds what this very program finds, wherever that was installed.
    found = {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "PYTHONUTF8": "1"}
    console = folder / CONSOLE
    with console.open("wb") as output:
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "app.cli.demo.server", cdn_url),
            cwd=folder,
            env={**inherited, **settings, **found},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
    try:
        # It prints its URL once it takes connections.
        async with asyncio.timeout_at(start_by):
            while not (address := ADDRESS.search(console.read_text(encoding="utf-8", errors="replace"))):
                if server.returncode is not None:
                    raise ServerNotStarted(server.returncode)
                await asyncio.sleep(LOOK_EVERY)
        yield server, address[0]
    finally:
        with suppress(ProcessLookupError):
            server.terminate()
        try:
            async with asyncio.timeout_at(give_up):
                await server.wait()
        except TimeoutError:
            server.kill()
            await server.wait()


@asynccontextmanager
async def staged(
    folder: Path, language: Language, owners: str, start_by: float, give_up: float
) -> AsyncIterator[DemoStage]:
    """Set the stage up in `folder` and clear it away, the server first; the times are those of `running`.

    What is printed is in `language`, what is said in Telegram in that of the `owners`.

    Raises ServerNotStarted and TimeoutError.
    """
    token, api_key = f"{secrets.randbelow(10**9)}:{secrets.token_urlsafe(26)}", secrets.token_urlsafe(24)
    fal, cdn, telegram = FalTwin(api_key=api_key), CdnTwin(), TelegramTwin(tokens=[token])
    certificate = folder / "ssl" / "aibots_kz.crt"  # paths have their defaults, in `folder`
    async with AsyncExitStack() as stack:
        cdn_url = await stack.enter_async_context(cdn.serve())
        fal_url = await stack.enter_async_context(fal.serve())
        settings = {
            "API_HOST": "127.0.0.1",
            "RECONCILE_AFTER": "1",
            "RECONCILE_EVERY": "1",
            "API_PORT": "0",
            "API_DOMAIN": DOMAIN,
            "TELEGRAM_TOKEN": token,
            "TELEGRAM_API_URL": await stack.enter_async_context(telegram.serve()),
            "FAL_API_KEY": api_key,
            "FAL_USER_ID": ACCOUNT,
            "FAL_JWKS_URLS": f"{fal_url}/.well-known/jwks.json",
            "FAL_QUEUE_URL": fal_url,
            "FAL_STORAGE_URL": fal_url,
            "FAL_API_URL": fal_url,
            "DEFAULT_LANGUAGE": owners,
            "POLL_INTERVAL": "0.1",  # nobody wants to watch a second pass
        }
        server, url = await stack.enter_async_context(running(folder, settings, cdn_url, start_by, give_up))
        senders = {}
        for trainer in Trainer:
            target = f"{url}{PATH}?training_type={trainer}"
            sender = FalSender(target, fal.key, ca_file=certificate, server_name=DOMAIN)
            senders[trainer] = await stack.enter_async_context(sender)
        database = open_database(f"sqlite:///{folder / 'data' / 'aisha.db'}")
        stack.push_async_callback(database.close)
        yield DemoStage(language, owners, fal, cdn, telegram, server, url, database, senders)


def _avatar(connection: Connection, avatar_id: str) -> Event:
    return dict(connection.exec_driver_sql(SELECT_AVATAR, (avatar_id,)).mappings().one())
